"""Whole-slide images: reading, tissue detection and tiling. Does not import torch."""

from gensis.pipeline_packages import require

require("openslide", "scipy", "simplejpeg", "tifffile")
