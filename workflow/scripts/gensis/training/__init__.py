"""The loop that every training shares: devices, checkpoints, resuming."""
