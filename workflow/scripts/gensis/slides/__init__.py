"""Whole-slide images: reading, tissue detection and tiling. Does not import torch."""
