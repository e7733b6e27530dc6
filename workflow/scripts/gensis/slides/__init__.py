"""Whole-slide images: where tissue lies, how a slide is cut into tiles, and the tiles. Does not import torch."""
