"""What every artifact shares: written complete or not at all, with its provenance. docs/artifacts.md lists all fields."""
