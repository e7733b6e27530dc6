"""Multi-crop views, drawn and computed for a whole batch on its device (Caron et al. 2021, arXiv 2104.14294)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from gensis.augment.colour import (
    BLUR_SIGMA_PX,
    adjust_contrast,
    colour_matrices,
    gaussian_blur,
    jitter_stain,
    recolour,
    solarize,
)
from gensis.augment.resample import crop_resize, prepared
from gensis.ranges import to_unit
from gensis.threads import in_threads

ASPECT_RATIO = (3 / 4, 4 / 3)
_CHUNK_VALUES = 200_000  # values of the views that a CPU core computes at once, so that they fit into its cache
_GPU_CHUNK_VALUES = 20_000_000  # and a GPU, where making views needs several times the memory of the views
_SMALL_PX = 64  # smaller views use one thread: more would spend their time waiting for Python's lock


@dataclass(frozen=True, kw_only=True)
class ViewRecipe:
    """Parameters of one kind of view. Probabilities and strengths as in settings.pretraining.Views."""

    size_px: int
    scale: tuple[float, float]
    flip: float
    rotate: bool
    jitter: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    grayscale: float
    blur: float
    solarize: float
    stain: float = 0.0


class Draws(NamedTuple):
    """Random parameters of a batch of views, one row per image."""

    boxes: torch.Tensor
    """int64 (B, 4): see `crop_resize`."""
    turns: torch.Tensor
    """bool (B, 3): see `crop_resize`."""
    stain_factor: torch.Tensor
    """float32 (B, 3): see `jitter_stain`."""
    stain_shift: torch.Tensor
    """float32 (B, 3): see `jitter_stain`."""
    colour: torch.Tensor
    """float32 (B, 3, 3): see `colour_matrices`."""
    contrast: torch.Tensor
    """float32 (B,): see `adjust_contrast`."""
    sigma: torch.Tensor
    """float32 (B,): sigma of the blur in pixels."""
    blurred: torch.Tensor
    """bool (B,): whether to blur."""
    inverted: torch.Tensor
    """bool (B,): whether to solarise."""


def view(
    images: torch.Tensor, recipe: ViewRecipe, sizes: torch.Tensor | None = None, out: torch.Tensor | None = None
) -> torch.Tensor:
    """One random view of each image, drawn from the global generator of the images' device.

    Args:
        images: uint8 (B, 3, H, W); if several views are needed, `prepared` images are faster.
        recipe: parameters of the view.
        sizes: int64 (B, 2): height and width of the part of each image to use, from its top left; None: all of it.
        out: tensor of `empty_views` for the result.

    Returns:
        float32 (B, 3, size_px, size_px) in [0, 1]; an image's view does not depend on the other images of the batch.
    """
    if sizes is None:
        sizes = torch.stack([torch.full((len(images),), side, device=images.device) for side in images.shape[2:]], 1)
    draws = draw(sizes, recipe)
    images = prepared(images)
    views = empty_views(1, images, recipe.size_px)[0] if out is None else out
    on_cpu = images.device.type == "cpu"
    chunk = max((_CHUNK_VALUES if on_cpu else _GPU_CHUNK_VALUES) // views[0].numel(), 1)
    chunks = [tensor.split(chunk) for tensor in (views, images, *draws)]

    def fill(views: torch.Tensor, images: torch.Tensor, *draws: torch.Tensor) -> None:
        views.copy_(make(images, Draws(*draws), recipe))

    if on_cpu:
        in_threads(torch.get_num_threads() if recipe.size_px >= _SMALL_PX else 1, fill, *chunks)
    else:
        for each in zip(*chunks):
            fill(*each)
    return views


def empty_views(count: int, images: torch.Tensor, size_px: int) -> torch.Tensor:
    """Uninitialised ``count`` views of each of B images on their device, float32 (count, B, 3, size_px, size_px)."""
    return torch.empty((count, len(images), 3, size_px, size_px), device=images.device)


def draw(sizes: torch.Tensor, recipe: ViewRecipe) -> Draws:
    """Draw views of images of int64 (B, 2) height and width, on the device of ``sizes``."""
    count, device = len(sizes), sizes.device

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(*shape, count, device=device)

    def chosen(probability: float) -> torch.Tensor:
        return torch.rand(count, device=device) < probability

    def factor(strength: float) -> torch.Tensor:
        return torch.where(jittered, uniform(1 - strength, 1 + strength).clamp(min=0), 1.0)

    drawn_boxes = boxes(uniform(0, 1, 4), *sizes.T, recipe.scale)
    flip = chosen(recipe.flip)
    quarters = torch.randint(4 if recipe.rotate else 1, (count,), device=device)
    jittered = chosen(recipe.jitter)
    brightness, contrast, saturation = map(factor, (recipe.brightness, recipe.contrast, recipe.saturation))
    hue = torch.where(jittered, uniform(-recipe.hue, recipe.hue), 0.0)
    saturation = torch.where(chosen(recipe.grayscale), 0.0, saturation)
    sigma = uniform(*BLUR_SIGMA_PX)
    blurred, inverted = chosen(recipe.blur), chosen(recipe.solarize)
    stain = uniform(-recipe.stain, recipe.stain, 2, 3) if recipe.stain else torch.zeros(2, 3, count, device=device)
    return Draws(
        boxes=drawn_boxes,
        turns=turns(flip, quarters),
        stain_factor=1 + stain[0].T,
        stain_shift=stain[1].T,
        colour=colour_matrices(brightness, saturation, hue),
        contrast=contrast,
        sigma=sigma,
        blurred=blurred,
        inverted=inverted,
    )


def boxes(draws: torch.Tensor, height: torch.Tensor, width: torch.Tensor, scale: tuple[float, float]) -> torch.Tensor:
    """Boxes of random area and aspect ratio, as in torchvision's RandomResizedCrop.

    A box that does not fit is cut to the image; torchvision tries ten times first.

    Args:
        draws: float32 (4, B) in [0, 1): area, aspect ratio, top, left.
        height: int64 (B,) of the images in pixels.
        width: int64 (B,) of the images in pixels.
        scale: smallest and largest area as a fraction of the image.

    Returns:
        int64 (B, 4): top, left, height, width in pixels.
    """
    area = height * width * (scale[0] + (scale[1] - scale[0]) * draws[0])
    low, high = math.log(ASPECT_RATIO[0]), math.log(ASPECT_RATIO[1])
    aspect = torch.exp(low + (high - low) * draws[1])
    box_width = (area * aspect).sqrt().round().clamp(min=1).minimum(width)
    box_height = (area / aspect).sqrt().round().clamp(min=1).minimum(height)
    top = (draws[2] * (height - box_height + 1)).floor()
    left = (draws[3] * (width - box_width + 1)).floor()
    return torch.stack([top, left, box_height, box_width], 1).long()


def turns(flip: torch.Tensor, quarters: torch.Tensor) -> torch.Tensor:
    """Turns of `crop_resize` for a horizontal flip, then quarter turns counter-clockwise as in `torch.rot90`.

    Args:
        flip: bool (B,).
        quarters: int64 (B,) in [0, 4).

    Returns:
        bool (B, 3): mirror the rows, mirror the columns, then swap the axes.
    """
    return torch.stack([quarters >= 2, flip ^ (quarters == 1) ^ (quarters == 2), quarters % 2 == 1], 1)


def make(images: torch.Tensor, draws: Draws, recipe: ViewRecipe) -> torch.Tensor:
    """Compute drawn views: `prepared` images to float32 (B, 3, size_px, size_px) in [0, 1]."""
    where = _where_static if images.is_floating_point() else _where_drawn
    crops = crop_resize(images, draws.boxes, draws.turns, recipe.size_px)
    views = to_unit(crops.contiguous())
    if recipe.stain:
        views = jitter_stain(views, draws.stain_factor, draws.stain_shift)
    views = adjust_contrast(recolour(views, draws.colour), draws.contrast)
    if recipe.blur:
        views = where(draws.blurred, gaussian_blur, views, draws.sigma)
    if recipe.solarize:
        views = where(draws.inverted, solarize, views)
    return views


def _where_drawn(
    drawn: torch.Tensor, change: Callable[..., torch.Tensor], images: torch.Tensor, *parameters: torch.Tensor
) -> torch.Tensor:
    """Change only the images that drew it, which saves time on CPUs. May change its input."""
    if drawn.all():
        return change(images, *parameters)
    if drawn.any():
        images[drawn] = change(images[drawn], *(values[drawn] for values in parameters))
    return images


def _where_static(
    drawn: torch.Tensor, change: Callable[..., torch.Tensor], images: torch.Tensor, *parameters: torch.Tensor
) -> torch.Tensor:
    """The same on GPUs, where changing all images is cheaper than waiting for the number that drew it."""
    return torch.where(drawn.view(-1, 1, 1, 1), change(images, *parameters), images)
