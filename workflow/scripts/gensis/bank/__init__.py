"""The bank of self-augmentations: planning which images to generate, and generating them."""
