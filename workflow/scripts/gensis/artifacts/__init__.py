"""What every artifact shares: complete or absent, with its provenance. docs/artifacts.md lists all fields."""
