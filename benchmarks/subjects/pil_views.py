"""Views as in the original recipe: torchvision's transforms on Pillow images, one after the other."""

import random

import torch
from PIL import Image, ImageFilter
from torchvision import transforms

BLUR_SIGMA_PX = (0.1, 2.0)
SOLARIZE_THRESHOLD = 128


def blur(image: Image.Image) -> Image.Image:
    """Blur with a random radius."""
    return image.filter(ImageFilter.GaussianBlur(random.uniform(*BLUR_SIGMA_PX)))


def transform(recipe: dict, mean: list[float], std: list[float]) -> transforms.Compose:
    """One kind of view of a Pillow image: float32 (3, size_px, size_px), normalised."""
    jitter = transforms.ColorJitter(*(recipe[name] for name in ("brightness", "contrast", "saturation", "hue")))
    steps = [
        transforms.RandomResizedCrop(
            recipe["size_px"], tuple(recipe["scale"]), interpolation=transforms.InterpolationMode.BICUBIC
        ),
        transforms.RandomHorizontalFlip(recipe["flip"]),
        transforms.RandomApply([jitter], recipe["jitter"]),
        transforms.RandomGrayscale(recipe["grayscale"]),
    ]
    if recipe["blur"]:
        steps.append(transforms.RandomApply([transforms.Lambda(blur)], recipe["blur"]))
    if recipe["solarize"]:
        steps.append(transforms.RandomSolarize(SOLARIZE_THRESHOLD, recipe["solarize"]))
    return transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(mean, std)])


class MultiCrop:
    """All views of a Pillow image."""

    def __init__(self, recipes: list[dict], mean: list[float], std: list[float]):
        """One recipe per view."""
        self.transforms = [transform(recipe, mean, std) for recipe in recipes]

    def __call__(self, image: Image.Image) -> list[torch.Tensor]:
        """The views, in order."""
        return [one(image) for one in self.transforms]
