"""What all artifacts share: atomic writes, checksums and provenance. docs/artifacts.md lists all fields."""
