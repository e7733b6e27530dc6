"""Global and local views of a batch in which one image of each pair may be synthetic (Gen-SIS, arXiv 2412.01672)."""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from gensis.augment.resample import prepared
from gensis.augment.views import ViewRecipe, empty_views, view
from gensis.images.ranges import to_nchw, to_nhwc


@dataclass(frozen=True)
class BatchViews:
    """Views of a batch, float32 in [0, 1], one tensor per size."""

    global_views: torch.Tensor
    """(2, B, 3, S, S)."""
    local_views: torch.Tensor
    """(L, B, 3, s, s)."""
    real_slot: torch.Tensor
    """int64 (B,): which global view shows the real image; 0 if both do."""


def real_views(real: torch.Tensor, recipes: tuple[ViewRecipe, ViewRecipe, ViewRecipe], local_crops: int) -> BatchViews:
    """All views from uint8 (B, 3, H, W) real images."""
    views = empty(real, recipes, local_crops, torch.zeros(len(real), dtype=torch.long, device=real.device))
    images = prepared(real)
    for out, recipe in zip((*views.global_views, *views.local_views), (*recipes[:2], *[recipes[2]] * local_crops)):
        view(images, recipe, out=out)
    return views


def empty(
    images: torch.Tensor,
    recipes: tuple[ViewRecipe, ViewRecipe, ViewRecipe],
    local_crops: int,
    real_slot: torch.Tensor,
) -> BatchViews:
    """Uninitialised views of a batch."""
    first, _, local = recipes
    return BatchViews(empty_views(2, images, first.size_px), empty_views(local_crops, images, local.size_px), real_slot)


def paired_views(
    real: torch.Tensor,
    synthetic: torch.Tensor,
    *,
    has_synthetic: torch.Tensor,
    slot: torch.Tensor,
    recipes: tuple[ViewRecipe, ViewRecipe, ViewRecipe],
    local_crops: int,
    local_fraction: float,
) -> BatchViews:
    """Views of pairs of one real and one synthetic image.

    Augmentations are drawn as in `real_views`, so that a synthetic image equal to its source gives the same views.

    Args:
        real: uint8 (B, 3, H, W).
        synthetic: uint8 (B, 3, h, w); the size may differ.
        has_synthetic: bool (B,); where False, all views show the real image.
        slot: int64 (B,): which global view is the synthetic one. It must be drawn per image: the two global views
            differ in blur and solarisation, which would otherwise reveal the synthetic one.
        recipes: first global, second global, local.
        local_crops: number of local views.
        local_fraction: fraction of them that are crops of the synthetic image.
    """
    # Both kinds are padded to one size, so that each view is cropped only once, from the image that it shows.
    height, width = (max(sides) for sides in zip(real.shape[2:], synthetic.shape[2:]))
    both = torch.cat([_on_canvas(kind, height, width) for kind in (real, synthetic)])
    rows = torch.arange(len(real), device=real.device)

    views = empty(real, recipes, local_crops, torch.where(has_synthetic, 1 - slot, 0))

    def fill(outs: torch.Tensor, recipe: ViewRecipe, is_synthetic: torch.Tensor) -> None:
        if not len(outs):
            return
        sides = [torch.where(is_synthetic, *pair) for pair in zip(synthetic.shape[2:], real.shape[2:])]
        images = prepared(to_nchw(both.index_select(0, rows + len(real) * is_synthetic)))
        for out in outs:
            view(images, recipe, torch.stack(sides, 1), out)

    for number in range(2):
        fill(views.global_views[number : number + 1], recipes[number], has_synthetic & (slot == number))
    from_synthetic = round(local_fraction * local_crops)
    fill(views.local_views[:from_synthetic], recipes[2], has_synthetic)
    fill(views.local_views[from_synthetic:], recipes[2], torch.zeros_like(has_synthetic))
    return views


def _on_canvas(images: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Images as (B, height, width, 3), padded at the bottom and right: in this layout a copy is contiguous."""
    return F.pad(to_nhwc(images), (0, 0, 0, width - images.shape[3], 0, height - images.shape[2]))
