"""Embeddings of all images by a trained encoder."""

from typing import Literal

from gensis.settings.base import PositiveInt, Settings, added


class Embedding(Settings):
    """How images are embedded."""

    normalize: bool = False
    """Divide each stored embedding by its L2 norm. Stages that need unit vectors normalise in any case."""
    units_per_part: PositiveInt = 100
    """Slides or shards per file and job."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the encoder's forward passes."""
    flips: bool = added(neutral=False)
    """Also embed mirrored images. Always on for encoders that condition a bank if `diffusion.flips` is on."""
