"""Resolves settings that are `auto` from the size of the data, each with a reason."""

import math
from dataclasses import dataclass
from typing import Any

from gensis.augment.views import ViewRecipe
from gensis.settings.pretraining import Pretraining, Views
from gensis.ssl.method import Automatic

IMAGENET = 1_281_167
LARGEST_UNBLURRED_PX = 32
WARMUP_EPOCHS, LARGEST_WARMUP = 10, 0.1  # epochs of ImageNet, because a longer training needs no longer warm-up


@dataclass(frozen=True)
class Resolved:
    """Settings without `auto`, and with a batch of at most all images."""

    settings: Pretraining
    values: dict[str, Any]
    """Values of all keys that may be `auto`, by name."""
    reasons: dict[str, str]
    """Reason and source of each value that was `auto`."""


def resolve(settings: Pretraining, images: int, patch_px: int, own: Automatic) -> Resolved:
    """Resolve every `auto`.

    Args:
        settings: of the training.
        images: number of images in the train split.
        patch_px: side of a transformer's patches, of which the side of local views is a multiple; 1 for a convnet.
        own: automatic values of the method; they override the usual ones.
    """
    automatic = (
        {"warmup": _warmup(settings, images)} | automatic_views(settings.views, settings.image_px, patch_px) | own
    )
    values, reasons = {}, {}
    batch = {"batch_size": min(settings.batch_size, images)}
    changes: dict[str, dict[str, Any]] = {"": batch, "views": {}, settings.method: {}}
    for name, (value, reason) in automatic.items():
        section = _section(settings, name)
        given = getattr(getattr(settings, section) if section else settings, name)
        values[name] = value if given == "auto" else given
        if given == "auto":
            reasons[name] = reason
            changes[section][name] = value
    nested = {name: getattr(settings, name).model_copy(update=update) for name, update in changes.items() if name}
    return Resolved(settings.model_copy(update=changes[""] | nested), values, reasons)


def _section(settings: Pretraining, key: str) -> str:
    """The section of `pretraining` that a key stands in; empty for `pretraining` itself."""
    sections = ("views", settings.method)
    return next((name for name in sections if key in type(getattr(settings, name)).model_fields), "")


def _warmup(settings: Pretraining, images: int) -> tuple[float, str]:
    return (
        min(LARGEST_WARMUP, WARMUP_EPOCHS * IMAGENET / (settings.epochs * images)),
        f"{WARMUP_EPOCHS} epochs of ImageNet, at most {LARGEST_WARMUP} of all steps (the authors; lightly-train)",
    )


def automatic_views(views: Views, image_px: int, patch_px: int) -> Automatic:
    """Values of the keys of `views` where they are `auto`; see `resolve`."""
    return {
        "local_px": (
            max(round(image_px * 96 / 224 / patch_px), 1) * patch_px,
            f"96 of 224 (the authors), rounded to a multiple of the patch size {patch_px}",
        ),
        "global_scale": (
            (0.4, 1.0) if views.local_crops else (0.14, 1.0),
            "the authors' values with and without local crops",
        ),
        "blur": (
            (1.0, 0.1, 0.5) if image_px > LARGEST_UNBLURRED_PX else (0.0, 0.0, 0.0),
            f"the authors' values above {LARGEST_UNBLURRED_PX} px; smaller images lose too much detail by blurring",
        ),
    }


def by_size(small: float, large: float, images: int) -> float:
    """``small`` up to 20,000 images, ``large`` (the original) from ImageNet's size, else linear in log(images)."""
    part = math.log(max(images, 20_000) / 20_000) / math.log(IMAGENET / 20_000)
    return round(small + (large - small) * min(part, 1.0), 5)


def view_recipes(views: Views, image_px: int) -> tuple[ViewRecipe, ViewRecipe, ViewRecipe]:
    """Recipes of the first global, the second global, and the local views. Only the second global view is solarised.

    Args:
        views: without `auto`.
        image_px: side of a global view.
    """

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
        recipe(image_px, views.global_scale, views.blur[0], 0.0),
        recipe(image_px, views.global_scale, views.blur[1], views.solarize),
        recipe(views.local_px, views.local_scale, views.blur[2], 0.0),
    )
