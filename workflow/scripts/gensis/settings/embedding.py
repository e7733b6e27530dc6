"""Embeddings of all images with a trained encoder."""

from typing import Literal

from gensis.settings.base import PositiveInt, Settings, added


class Embedding(Settings):
    """What is read off an encoder for one image."""

    normalize: bool = False
    """Divide each stored embedding by its L2 norm. Everything that needs unit vectors normalises by itself."""
    units_per_part: PositiveInt = 100
    """Slides or shards whose embeddings share a file (and a job)."""
    precision: Literal["float32", "bfloat16"] = "float32"
    flips: bool = added(neutral=False)
    """Embed mirrored images too. On for encoders that condition a bank where `diffusion.flips` is."""
