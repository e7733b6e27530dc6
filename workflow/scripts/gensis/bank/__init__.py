"""The bank of self-augmentations: which image to generate from what, and generation them."""
