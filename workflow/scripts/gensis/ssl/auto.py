"""Values that the size of the data decides, resolved in one place, each with its reason."""

import math
from dataclasses import dataclass
from typing import Any

from gensis.augment.views import ViewRecipe
from gensis.settings.pretraining import Pretraining, Views

IMAGENET = 1_281_167
SHARP_PX = 32
VIEWS = frozenset({"local_px", "global_scale", "blur"})
"""Names of `Resolved` that stand in the section `views`."""


WARMUP_EPOCHS, WARMUP_LARGEST = 10, 0.1  # epochs of ImageNet: what a network needs does not grow with the data
HEATING_EPOCHS, HEATING_LARGEST = 30, 0.3


@dataclass(frozen=True)
class Resolved:
    """What stood as `auto` in the settings, as numbers."""

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
    """Of each value that was not given: why it is what it is, and who found it."""


def resolve(settings: Pretraining, images: int, is_transformer: bool, patch_px: int) -> Resolved:
    """Resolve every `auto`.

    Args:
        settings: as given.
        images: in the train split.
        is_transformer: whether the backbone is one.
        patch_px: the side of its patch; local views are multiples of it.
    """
    automatic = _automatic(settings, images, is_transformer, patch_px)
    given = {name: getattr(settings.views if name in VIEWS else settings, name) for name in automatic}
    reasons = {name: reason for name, (_, reason) in automatic.items() if given[name] == "auto"}
    values = {name: value if given[name] == "auto" else given[name] for name, (value, _) in automatic.items()}
    return Resolved(**values, reasons=reasons)


def _automatic(settings: Pretraining, images: int, is_transformer: bool, patch_px: int) -> dict[str, tuple[Any, str]]:
    """What `auto` stands for, and why, by the field's name."""
    seen = settings.epochs * images
    sharp = _between(0.02, 0.04, images)
    return {
        "prototypes": (_prototypes(images), "65,536 starve on small sets (bounds of lightly-train)"),
        "teacher_temperature": (
            sharp,
            "a sharper teacher keeps small sets from uniform targets (facebookresearch/dino issue 43; lightly-train)",
        ),
        "teacher_temperature_start": (
            sharp if settings.teacher_temperature == "auto" else settings.teacher_temperature,
            "as teacher_temperature (the authors' default)",
        ),
        "teacher_temperature_warmup": (
            min(HEATING_LARGEST, HEATING_EPOCHS * IMAGENET / seen),
            f"{HEATING_EPOCHS} epochs of ImageNet, at most {HEATING_LARGEST} of all steps (the authors; lightly-train)",
        ),
        "teacher_momentum": (
            _between(0.99, 0.996, images),
            "the horizon of the average grows with the run (lightly-train; the authors at the size of ImageNet)",
        ),
        "warmup": (
            min(WARMUP_LARGEST, WARMUP_EPOCHS * IMAGENET / seen),
            f"{WARMUP_EPOCHS} epochs of ImageNet, at most {WARMUP_LARGEST} of all steps (the authors; lightly-train)",
        ),
        "head_batch_norm": (
            not is_transformer,
            "a convnet without it learnt 1.6 points less from 10,000 images; transformers follow the authors",
        ),
        "local_px": (
            _local_px(settings.image_px, patch_px),
            f"96 of 224 (the authors), a multiple of the patch of {patch_px}",
        ),
        "global_scale": (
            (0.4, 1.0) if settings.views.local_crops else (0.14, 1.0),
            "the authors', with and without local crops",
        ),
        "blur": (
            (1.0, 0.1, 0.5) if settings.image_px > SHARP_PX else (0.0, 0.0, 0.0),
            f"the authors' above {SHARP_PX} px; at that size a blur of one pixel removes what there is to learn",
        ),
    }


def _prototypes(images: int) -> int:
    """65,536 prototypes starve on small sets (the bounds are lightly-train's)."""
    bounds = {20_000: 1024, 50_000: 2048, 100_000: 4096, 200_000: 16_384, 500_000: 32_768}
    return next((count for bound, count in bounds.items() if images <= bound), 65_536)


def _between(small: float, large: float, images: int) -> float:
    """``small`` up to 20,000 images, ``large`` (the original's) from ImageNet on, linear in log(images) between."""
    part = math.log(max(images, 20_000) / 20_000) / math.log(IMAGENET / 20_000)
    return round(small + (large - small) * min(part, 1.0), 5)


def _local_px(image_px: int, patch_px: int) -> int:
    """96 of 224, as in the original, as a multiple of the patch."""
    return max(round(image_px * 96 / 224 / patch_px), 1) * patch_px


def view_recipes(views: Views, image_px: int, resolved: Resolved) -> tuple[ViewRecipe, ViewRecipe, ViewRecipe]:
    """Recipes of the first global, the second global, and the local views. Only the second global is solarised."""

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
