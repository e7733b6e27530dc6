"""Multi-crop views, drawn and made for a whole batch on its device (Caron et al. 2021, arXiv 2104.14294)."""

import math
from dataclasses import dataclass

import torch

from gensis.augment.colour import BLUR_SIGMA_PX, adjust_contrast, colour_matrices, gaussian_blur, recolour, solarize
from gensis.augment.resample import crop_resize

ASPECT_RATIO = (3 / 4, 4 / 3)


@dataclass(frozen=True)
class ViewRecipe:
    """How one kind of view is made. Probabilities and strengths as in settings.pretraining.Views."""

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


@dataclass(frozen=True)
class CropDraws:
    """Random numbers of one crop an image; they do not depend on the images' size."""

    box: torch.Tensor
    """float32 (4, B) in [0, 1): area, aspect ratio, top, left."""
    flip: torch.Tensor
    """bool (B,)."""
    turns: torch.Tensor
    """int64 (B,): quarter turns."""


def draw_crops(count: int, recipe: ViewRecipe, device: torch.device) -> CropDraws:
    """Draw the crops of ``count`` images."""
    return CropDraws(
        torch.rand(4, count, device=device),
        torch.rand(count, device=device) < recipe.flip,
        torch.randint(4 if recipe.rotate else 1, (count,), device=device),
    )


def boxes(draws: torch.Tensor, height: int, width: int, scale: tuple[float, float]) -> torch.Tensor:
    """Boxes of random area and aspect ratio, as torchvision's RandomResizedCrop draws them.

    A draw that does not fit is cut to the image; torchvision tries ten times first.

    Args:
        draws: `CropDraws.box`.
        height: of the images in pixels.
        width: of the images in pixels.
        scale: smallest and largest area as a fraction of the image.

    Returns:
        int64 (B, 4): top, left, height, width in pixels.
    """
    area = height * width * (scale[0] + (scale[1] - scale[0]) * draws[0])
    low, high = math.log(ASPECT_RATIO[0]), math.log(ASPECT_RATIO[1])
    aspect = torch.exp(low + (high - low) * draws[1])
    box_width = (area * aspect).sqrt().round().clamp(1, width)
    box_height = (area / aspect).sqrt().round().clamp(1, height)
    top = (draws[2] * (height - box_height + 1)).floor()
    left = (draws[3] * (width - box_width + 1)).floor()
    return torch.stack([top, left, box_height, box_width], 1).long()


def crop(images: torch.Tensor, draws: CropDraws, recipe: ViewRecipe) -> torch.Tensor:
    """Drawn crops, flipped and turned: uint8 (B, 3, H, W) to float32 (B, 3, size_px, size_px) in [0, 1]."""
    drawn = boxes(draws.box, *images.shape[2:], recipe.scale)
    crops = crop_resize(images, drawn, draws.flip, recipe.size_px) / 255
    if recipe.rotate:
        turned = torch.stack([torch.rot90(crops, quarter, (2, 3)) for quarter in range(4)])
        crops = turned[draws.turns, torch.arange(len(crops), device=crops.device)]
    return crops


def distort(crops: torch.Tensor, recipe: ViewRecipe) -> torch.Tensor:
    """Random colour, grey, blur and solarisation of float32 (B, 3, S, S) in [0, 1]."""
    count, device = len(crops), crops.device

    def chosen(probability: float) -> torch.Tensor:
        return torch.rand(count, device=device) < probability

    def factor(strength: float) -> torch.Tensor:
        drawn = 1 + strength * (2 * torch.rand(count, device=device) - 1)
        return torch.where(jittered, drawn.clamp(min=0), torch.ones_like(drawn))

    jittered = chosen(recipe.jitter)
    brightness, contrast, saturation = map(factor, (recipe.brightness, recipe.contrast, recipe.saturation))
    hue = torch.where(jittered, recipe.hue * (2 * torch.rand(count, device=device) - 1), 0.0)
    saturation = torch.where(chosen(recipe.grayscale), torch.zeros_like(saturation), saturation)
    crops = adjust_contrast(recolour(crops, colour_matrices(brightness, saturation, hue)), contrast)
    sigma = BLUR_SIGMA_PX[0] + (BLUR_SIGMA_PX[1] - BLUR_SIGMA_PX[0]) * torch.rand(count, device=device)
    blurred = chosen(recipe.blur)
    if recipe.blur > 0:
        crops = torch.where(blurred.view(-1, 1, 1, 1), gaussian_blur(crops, sigma), crops)
    inverted = chosen(recipe.solarize)
    if recipe.solarize > 0:
        crops = torch.where(inverted.view(-1, 1, 1, 1), solarize(crops), crops)
    return crops


def view(images: torch.Tensor, recipe: ViewRecipe) -> torch.Tensor:
    """One random view of each image: uint8 (B, 3, H, W) to float32 (B, 3, size_px, size_px) in [0, 1]."""
    return distort(crop(images, draw_crops(len(images), recipe, images.device), recipe), recipe)
