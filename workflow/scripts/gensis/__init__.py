"""Gen-SIS: image encoders that improve themselves with images of their own making (arXiv 2412.01672)."""

__version__ = "0.1.0"
