"""The size of a study before it runs: images, forward passes, hours, disk and memory of each stage."""
