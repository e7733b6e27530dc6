"""Global and local views of a batch in which one image of a pair may be synthetic (Gen-SIS, arXiv 2412.01672)."""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from gensis.augment.resample import prepared
from gensis.augment.views import ViewRecipe, view


@dataclass(frozen=True)
class BatchViews:
    """Views of a batch, float32 in [0, 1]."""

    global_views: list[torch.Tensor]
    """Two (B, 3, S, S)."""
    local_views: list[torch.Tensor]
    """L times (B, 3, s, s)."""
    real_slot: torch.Tensor
    """int64 (B,): which global view is of the real image; 0 where both are."""


def real_views(real: torch.Tensor, recipes: tuple[ViewRecipe, ViewRecipe, ViewRecipe], local_crops: int) -> BatchViews:
    """All views from uint8 (B, 3, H, W) real images."""
    first, second, local = recipes
    images = prepared(real)
    return BatchViews(
        [view(images, recipe) for recipe in (first, second)],
        [view(images, local) for _ in range(local_crops)],
        torch.zeros(len(real), dtype=torch.long, device=real.device),
    )


def mixed_views(
    real: torch.Tensor,
    synthetic: torch.Tensor,
    has_synthetic: torch.Tensor,
    slot: torch.Tensor,
    recipes: tuple[ViewRecipe, ViewRecipe, ViewRecipe],
    local_crops: int,
    local_fraction: float,
) -> BatchViews:
    """Views of pairs of one real and one synthetic image.

    Crops and distortions are drawn as `real_views` draws them: a synthetic image equal to its source makes the same
    views.

    Args:
        real: uint8 (B, 3, H, W).
        synthetic: uint8 (B, 3, h, w); the size may differ.
        has_synthetic: bool (B,); where False, all views are real.
        slot: int64 (B,): which global view is the synthetic one. Drawn per image, blur and solarisation, which differ
            between the two, do not mark it.
        recipes: first global, second global, local.
        local_crops: number of local views.
        local_fraction: part of them that is cut from the synthetic image.
    """
    # Both kinds on canvases of one size: each view is cut once, from the image that it shows.
    height, width = (max(sides) for sides in zip(real.shape[2:], synthetic.shape[2:]))
    both = torch.cat([F.pad(kind, (0, width - kind.shape[3], 0, height - kind.shape[2])) for kind in (real, synthetic)])
    rows = torch.arange(len(real), device=real.device)

    def views(is_synthetic: torch.Tensor, *recipes: ViewRecipe) -> list[torch.Tensor]:
        sides = [torch.where(is_synthetic, *pair) for pair in zip(synthetic.shape[2:], real.shape[2:])]
        images = prepared(both[rows + len(real) * is_synthetic])
        return [view(images, recipe, torch.stack(sides, 1)) for recipe in recipes]

    first, second, local = recipes
    from_synthetic = round(local_fraction * local_crops)
    return BatchViews(
        views(has_synthetic & (slot == 0), first) + views(has_synthetic & (slot == 1), second),
        views(has_synthetic, *[local] * from_synthetic)
        + views(torch.zeros_like(has_synthetic), *[local] * (local_crops - from_synthetic)),
        torch.where(has_synthetic, 1 - slot, 0),
    )
