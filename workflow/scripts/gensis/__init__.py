"""Gen-SIS: image encoders that improve themselves with images generated from their embeddings (arXiv 2412.01672)."""

from pathlib import Path
from typing import TYPE_CHECKING

from gensis import timm_hook

if TYPE_CHECKING:
    from gensis.ssl.backbone import Encoder

__version__ = "0.1.0"

timm_hook.install()


def load_encoder(folder: str | Path) -> "Encoder":
    """Load a trained encoder with its preprocessing, frozen.

    It maps uint8 images (B, 3, H, W) of any size, on its device, to embeddings float32 (B, D).

    Args:
        folder: such as `results/<run>/encoders/<encoder>/seed0`.

    Raises:
        gensis.errors.UserError: the folder contains no encoder, or timm is older than 1.0.26.
    """
    from gensis.ssl import backbone  # torch and timm are imported here, so that planning starts fast

    return backbone.load_encoder(Path(folder))
