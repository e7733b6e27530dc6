"""The untrained encoder: a baseline for trained ones, and a feature space that no generated image depends on."""

import torch

from gensis.settings.pretraining import Pretraining
from gensis.ssl.backbone import Encoder, create_backbone
from gensis.ssl.preprocessing import Preprocessing


def untrained_encoder(settings: Pretraining, seed: int) -> Encoder:
    """The backbone of a pre-training with random weights, which ``seed`` alone decides, for images around mid-grey."""
    torch.manual_seed(seed)
    backbone, _ = create_backbone(settings.backbone, settings.image_px, settings.backbone_args)
    return Encoder(backbone, Preprocessing((settings.image_px,) * 2, (0.5,) * 3, (0.25,) * 3))
