"""Global and local views of a batch in which one image of each pair may be synthetic (Gen-SIS, arXiv 2412.01672)."""

from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from gensis.augment.resample import prepared
from gensis.augment.views import ViewRecipe, empty_views, view
from gensis.ranges import to_nchw, to_nhwc


@dataclass(frozen=True)
class BatchViews:
    """Views of a batch, float32 in [0, 1], one tensor per size."""

    global_views: torch.Tensor
    """(2, B, 3, S, S)."""
    local_views: torch.Tensor
    """(L, B, 3, s, s)."""
    real_slot: torch.Tensor
    """int64 (B,): which global view shows the real image; 0 if both do."""
    added_views: torch.Tensor | None = None
    """(B, 3, S, S): a further global view, for the student alone."""


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
    either = _Either(real, synthetic)
    views = empty(real, recipes, local_crops, torch.where(has_synthetic, 1 - slot, 0))

    def fill(outs: torch.Tensor, recipe: ViewRecipe, is_synthetic: torch.Tensor) -> None:
        if not len(outs):
            return
        images, sizes = either.chosen(is_synthetic)
        for out in outs:
            view(images, recipe, sizes, out)

    for number in range(2):
        fill(views.global_views[number : number + 1], recipes[number], has_synthetic & (slot == number))
    from_synthetic = round(local_fraction * local_crops)
    fill(views.local_views[:from_synthetic], recipes[2], has_synthetic)
    fill(views.local_views[from_synthetic:], recipes[2], torch.zeros_like(has_synthetic))
    return views


def with_added_views(
    real: torch.Tensor,
    synthetic: torch.Tensor,
    *,
    has_synthetic: torch.Tensor,
    recipes: tuple[ViewRecipe, ViewRecipe, ViewRecipe],
    local_crops: int,
) -> BatchViews:
    """All views of `real_views`, drawn alike, and one more: of the synthetic images, or of the real ones without one.

    Arguments as in `paired_views`. The added view is drawn by the first global recipe.
    """
    views = real_views(real, recipes, local_crops)
    images, sizes = _Either(real, synthetic).chosen(has_synthetic)
    return replace(views, added_views=view(images, recipes[0], sizes))


class _Either:
    """Real and synthetic images of two sizes, of which each view shows one and crops only that."""

    def __init__(self, real: torch.Tensor, synthetic: torch.Tensor):
        self._sizes = list(zip(synthetic.shape[2:], real.shape[2:]))
        height, width = map(max, self._sizes)
        self._both = torch.cat([_on_canvas(kind, height, width) for kind in (real, synthetic)])
        self._rows = torch.arange(len(real), device=real.device)

    def chosen(self, is_synthetic: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The chosen images, prepared for `view`, and the int64 (B, 2) part of each that is an image."""
        sizes = [torch.where(is_synthetic, *pair) for pair in self._sizes]
        images = self._both.index_select(0, self._rows + len(self._rows) * is_synthetic)
        return prepared(to_nchw(images)), torch.stack(sizes, 1)


def _on_canvas(images: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Images as (B, height, width, 3), padded at the bottom and right: in this layout a copy is contiguous."""
    return F.pad(to_nhwc(images), (0, 0, 0, width - images.shape[3], 0, height - images.shape[2]))
