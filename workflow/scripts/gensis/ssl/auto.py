"""Resolves settings that are `auto` from the size of the data, each with a reason."""

import math
from dataclasses import dataclass
from typing import Any

from gensis.augment.views import ViewRecipe
from gensis.settings.pretraining import Pretraining, Views

IMAGENET = 1_281_167
LARGEST_UNBLURRED_PX = 32
VIEWS = frozenset({"local_px", "global_scale", "blur"})
"""Names of `Resolved` that stand in the section `views`."""


WARMUP_EPOCHS, LARGEST_WARMUP = 10, 0.1  # epochs of ImageNet, because a longer training needs no longer warm-up
TEMPERATURE_WARMUP_EPOCHS, LARGEST_TEMPERATURE_WARMUP = 30, 0.3


@dataclass(frozen=True)
class Resolved:
    """Values of the settings that may be `auto`."""

    prototypes: int
    teacher_temperature: float
    teacher_temperature_start: float
    teacher_temperature_warmup: float
    teacher_momentum: float
    warmup: float
    head_batch_norm: bool
    local_px: int
    global_scale: tuple[float, float]
    blur: tuple[float, float, float]
    reasons: dict[str, str]
    """Reason and source of each value that was `auto`."""


def resolve(settings: Pretraining, images: int, is_transformer: bool, patch_px: int) -> Resolved:
    """Resolve every `auto`.

    Args:
        settings: of the training.
        images: number of images in the train split.
        is_transformer: whether the backbone is a transformer.
        patch_px: side of its patches; the side of local views is a multiple of it.
    """
    automatic = _automatic(settings, images, is_transformer, patch_px)
    given = {name: getattr(settings.views if name in VIEWS else settings, name) for name in automatic}
    reasons = {name: reason for name, (_, reason) in automatic.items() if given[name] == "auto"}
    values = {name: value if given[name] == "auto" else given[name] for name, (value, _) in automatic.items()}
    return Resolved(**values, reasons=reasons)


def _automatic(settings: Pretraining, images: int, is_transformer: bool, patch_px: int) -> dict[str, tuple[Any, str]]:
    """Name of each field that may be `auto` -> its automatic value and the reason."""
    images_seen = settings.epochs * images
    temperature = _interpolate(0.02, 0.04, images)
    return {
        "prototypes": (
            _prototypes(images),
            "on small data sets most of 65,536 prototypes are unused (bounds of lightly-train)",
        ),
        "teacher_temperature": (
            temperature,
            "a sharper teacher avoids uniform targets on small sets (facebookresearch/dino issue 43; lightly-train)",
        ),
        "teacher_temperature_start": (
            temperature if settings.teacher_temperature == "auto" else settings.teacher_temperature,
            "the same as teacher_temperature (the authors' default)",
        ),
        "teacher_temperature_warmup": (
            min(LARGEST_TEMPERATURE_WARMUP, TEMPERATURE_WARMUP_EPOCHS * IMAGENET / images_seen),
            f"{TEMPERATURE_WARMUP_EPOCHS} epochs of ImageNet, at most {LARGEST_TEMPERATURE_WARMUP} of all steps "
            "(the authors; lightly-train)",
        ),
        "teacher_momentum": (
            _interpolate(0.99, 0.996, images),
            "longer trainings average over more steps (lightly-train; the authors' value at the size of ImageNet)",
        ),
        "warmup": (
            min(LARGEST_WARMUP, WARMUP_EPOCHS * IMAGENET / images_seen),
            f"{WARMUP_EPOCHS} epochs of ImageNet, at most {LARGEST_WARMUP} of all steps (the authors; lightly-train)",
        ),
        "head_batch_norm": (
            not is_transformer,
            "a convnet was 1.6 points worse without it on 10,000 images; transformers follow the authors",
        ),
        "local_px": (
            _local_px(settings.image_px, patch_px),
            f"96 of 224 (the authors), rounded to a multiple of the patch size {patch_px}",
        ),
        "global_scale": (
            (0.4, 1.0) if settings.views.local_crops else (0.14, 1.0),
            "the authors' values with and without local crops",
        ),
        "blur": (
            (1.0, 0.1, 0.5) if settings.image_px > LARGEST_UNBLURRED_PX else (0.0, 0.0, 0.0),
            f"the authors' values above {LARGEST_UNBLURRED_PX} px; smaller images lose too much detail by blurring",
        ),
    }


def _prototypes(images: int) -> int:
    """Number of prototypes; the bounds are those of lightly-train."""
    bounds = {20_000: 1024, 50_000: 2048, 100_000: 4096, 200_000: 16_384, 500_000: 32_768}
    return next((count for bound, count in bounds.items() if images <= bound), 65_536)


def _interpolate(small: float, large: float, images: int) -> float:
    """``small`` up to 20,000 images, ``large`` (the original) from ImageNet's size, else linear in log(images)."""
    part = math.log(max(images, 20_000) / 20_000) / math.log(IMAGENET / 20_000)
    return round(small + (large - small) * min(part, 1.0), 5)


def _local_px(image_px: int, patch_px: int) -> int:
    """96 of 224, as in the original, rounded to a multiple of the patch size."""
    return max(round(image_px * 96 / 224 / patch_px), 1) * patch_px


def view_recipes(views: Views, image_px: int, resolved: Resolved) -> tuple[ViewRecipe, ViewRecipe, ViewRecipe]:
    """Recipes of the first global, the second global, and the local views. Only the second global view is solarised."""

    def recipe(size_px: int, scale: tuple[float, float], blur: float, solarize: float) -> ViewRecipe:
        return ViewRecipe(
            size_px=size_px,
            scale=scale,
            flip=views.flip,
            rotate=views.rotate,
            stain=views.stain,
            jitter=views.jitter,
            brightness=views.brightness,
            contrast=views.contrast,
            saturation=views.saturation,
            hue=views.hue,
            grayscale=views.grayscale,
            blur=blur,
            solarize=solarize,
        )

    return (
        recipe(image_px, resolved.global_scale, resolved.blur[0], 0.0),
        recipe(image_px, resolved.global_scale, resolved.blur[1], views.solarize),
        recipe(resolved.local_px, views.local_scale, resolved.blur[2], 0.0),
    )
