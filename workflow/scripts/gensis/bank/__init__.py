"""The bank of self-augmentations: which image to paint from what, and painting them."""
