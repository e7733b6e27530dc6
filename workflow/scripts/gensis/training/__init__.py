"""What all trainings share: the training loop, devices, checkpoints and resuming."""
