"""Global and local views of a batch in which one image of a pair may be synthetic (Gen-SIS, arXiv 2412.01672)."""

from dataclasses import dataclass

import torch

from gensis.augment.views import ViewRecipe, crop, distort, draw_crops, view


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
    return BatchViews(
        [view(real, recipe) for recipe in (first, second)],
        [view(real, local) for _ in range(local_crops)],
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
    global_views = [
        distort(_crop_either(real, synthetic, has_synthetic & (slot == number), recipe), recipe)
        for number, recipe in enumerate(recipes[:2])
    ]
    from_synthetic = round(local_fraction * local_crops)
    never = torch.zeros_like(has_synthetic)
    local_views = [
        distort(
            _crop_either(real, synthetic, has_synthetic if number < from_synthetic else never, recipes[2]), recipes[2]
        )
        for number in range(local_crops)
    ]
    return BatchViews(global_views, local_views, torch.where(has_synthetic, 1 - slot, 0))


def _crop_either(
    real: torch.Tensor, synthetic: torch.Tensor, use_synthetic: torch.Tensor, recipe: ViewRecipe
) -> torch.Tensor:
    # Both are cropped and one is chosen: shapes stay fixed, and nothing waits for the device.
    draws = draw_crops(len(real), recipe, real.device)
    return torch.where(use_synthetic.view(-1, 1, 1, 1), crop(synthetic, draws, recipe), crop(real, draws, recipe))
