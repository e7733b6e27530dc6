"""Image corruptions in five severities: ImageNet-C and CIFAR-10-C (Hendrycks and Dietterich 2019, arXiv 1903.12261).

Frost is missing, because it needs photographs of frost. `blur` is one of the four extra corruptions of ImageNet-C.
`stain`, a shift of H&E stain, is our own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any, Protocol

import torch

from gensis.augment.corruptions.lengths import SMALL_PX
from gensis.ranges import from_unit, to_bytes, to_unit
from gensis.settings.registries import CORRUPTIONS


class Corruption(Protocol):
    """One kind of corruption at one severity: a frozen dataclass of its parameters."""

    def __call__(self, images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        """Corrupt float32 (B, 3, H, W) in [0, 1], with a seed per image; returns the same shape, not clipped."""


@dataclass(frozen=True)
class Severities:
    """A kind of corruption, from the mildest severity to the strongest."""

    large: tuple[Corruption, ...]
    """The five severities for images of at least SMALL_PX."""
    small: tuple[Corruption, ...]
    """The five severities for smaller images."""


def five(kind: Callable[..., Corruption], **parameters: Sequence[Any]) -> tuple[Corruption, ...]:
    """Five severities of a kind, given five values of each of its parameters."""
    rows = zip(range(5), *parameters.values(), strict=True)
    return tuple(kind(**dict(zip(parameters, row))) for _, *row in rows)


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
    severities: Severities = resolve_name(CORRUPTIONS[kind])
    of_size = severities.small if min(images.shape[2:]) < SMALL_PX else severities.large
    corrupted = of_size[severity - 1](to_unit(images), seeds)
    return to_bytes(from_unit(corrupted.clamp(0, 1)))
