"""Image corruptions in five severities: ImageNet-C and CIFAR-10-C (Hendrycks and Dietterich 2019, arXiv 1903.12261).

Frost is missing, because it needs photographs of frost. `blur` is one of the four extra corruptions of ImageNet-C.
`stain`, a shift of H&E stain, is our own.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from gensis.augment.corruptions.blur import blur, defocus, glass, motion, zoom
from gensis.augment.corruptions.digital import brightness, contrast, elastic, jpeg, pixelate, stain
from gensis.augment.corruptions.lengths import SMALL_PX
from gensis.augment.corruptions.noise import impulse, noise, shot
from gensis.augment.corruptions.weather import fog, snow
from gensis.images.ranges import from_unit, to_bytes, to_unit


def corrupt(images: torch.Tensor, kind: str, severity: int, seeds: Sequence[int]) -> torch.Tensor:
    """Corrupt a batch; the result of each image depends only on the image, its seed, the kind and the severity.

    Args:
        images: uint8 (B, 3, H, W).
        kind: a key of CORRUPTIONS.
        severity: 1 to 5.
        seeds: one per image.

    Returns:
        uint8 (B, 3, H, W).
    """
    function, *severities = CORRUPTIONS[kind]
    is_small = min(images.shape[2:]) < SMALL_PX
    corrupted = function(to_unit(images), severities[is_small][severity - 1], seeds)
    return to_bytes(from_unit(corrupted.clamp(0, 1)))


CorruptionFunction = Callable[[torch.Tensor, Any, Sequence[int]], torch.Tensor]
Severities = tuple[Any, Any, Any, Any, Any]
CORRUPTIONS: dict[str, tuple[CorruptionFunction, Severities, Severities]] = {
    "noise": (noise, (0.08, 0.12, 0.18, 0.26, 0.38), (0.04, 0.06, 0.08, 0.09, 0.1)),
    "shot": (shot, (60, 25, 12, 5, 3), (500, 250, 100, 75, 50)),
    "impulse": (impulse, (0.03, 0.06, 0.09, 0.17, 0.27), (0.01, 0.02, 0.03, 0.05, 0.07)),
    "defocus": (
        defocus,
        ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
        ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    ),
    "glass": (
        glass,
        ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
        ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    ),
    "motion": (
        motion,
        ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    ),
    "zoom": (
        zoom,
        ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
        ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
    ),
    "snow": (
        snow,
        (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    "fog": (
        fog,
        ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
        ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    ),
    "blur": (blur, (1, 2, 3, 4, 6), (0.4, 0.6, 0.7, 0.8, 1)),
    "jpeg": (jpeg, (25, 18, 15, 10, 7), (80, 65, 58, 50, 40)),
    "pixelate": (pixelate, (0.6, 0.5, 0.4, 0.3, 0.25), (0.95, 0.9, 0.85, 0.75, 0.65)),
    "brightness": (brightness, (0.1, 0.2, 0.3, 0.4, 0.5), (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": (contrast, (0.4, 0.3, 0.2, 0.1, 0.05), (0.75, 0.5, 0.4, 0.3, 0.15)),
    "elastic": (
        elastic,
        ((488, 170.8, 24.4), (488, 19.52, 48.8), (12.2, 2.44, 4.88), (17.08, 2.44, 4.88), (29.28, 2.44, 4.88)),
        ((0, 0, 2.56), (1.6, 6.4, 2.24), (2.56, 1.92, 1.92), (3.2, 1.28, 1.6), (3.2, 0.96, 0.96)),
    ),
    "stain": (stain, *[(0.05, 0.1, 0.15, 0.2, 0.25)] * 2),
}
"""Kind -> function, and its five severities for large and for small images, e.g. a standard deviation, a sigma in px
for a side of 224 or 32 px, or a JPEG quality."""
