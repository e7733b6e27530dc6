"""Embedding of a block of images by an encoder."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from gensis.errors import UserError
from gensis.settings.embedding import Embedding
from gensis.threads import in_threads

CPU_PART = 32  # images per thread and call: few enough for their activations to stay in the cache


def in_parts(encoder: nn.Module, images: torch.Tensor, settings: Embedding) -> list[np.ndarray]:
    """Embed a block; on the CPU, one part per thread, which is faster than all threads in each layer."""
    if images.device.type != "cpu":
        return [embed(encoder, images, settings)]
    return in_threads(torch.get_num_threads(), lambda part: embed(encoder, part, settings), images.split(CPU_PART))


@torch.inference_mode()
def embed(encoder: nn.Module, images: torch.Tensor, settings: Embedding) -> np.ndarray:
    """Embed uint8 (n, 3, H, W): float32 (n, D).

    Raises:
        UserError: an embedding is not finite.
    """
    with torch.autocast(images.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
        features = encoder(images).float()
    embeddings = (F.normalize(features) if settings.normalize else features).cpu().numpy()
    if not np.isfinite(embeddings).all():
        raise UserError(
            "embeddings are not finite: the encoder's training diverged: lower its learning_rate, "
            "or replace it if its weights are external"
        )
    return embeddings
