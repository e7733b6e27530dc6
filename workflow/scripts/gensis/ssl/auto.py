"""Values that the size of the data decides, resolved in one place, each with its reason."""

import logging
import math
from dataclasses import dataclass

from gensis.augment.views import ViewRecipe
from gensis.settings.pretraining import Pretraining, Views

log = logging.getLogger(__name__)
IMAGENET = 1_281_167


@dataclass(frozen=True)
class Resolved:
    """What stood as `auto` in the settings, as numbers."""

    prototypes: int
    teacher_temperature: float
    teacher_temperature_start: float
    teacher_momentum: float
    head_batch_norm: bool
    local_px: int
    global_scale: tuple[float, float]
    blur: tuple[float, float, float]


def resolve(settings: Pretraining, images: int, is_transformer: bool, patch_px: int) -> Resolved:
    """Resolve every `auto`.

    Args:
        settings: as given.
        images: in the train split.
        is_transformer: whether the backbone is one.
        patch_px: the side of its patch; local views are multiples of it.
    """

    def given(value: object, automatic: object) -> object:
        return automatic if value == "auto" else value

    views = settings.views
    # A sharper teacher keeps small sets from the uniform collapse (facebookresearch/dino issue 43; lightly-train).
    temperature = given(settings.teacher_temperature, _between(0.02, 0.04, images))
    resolved = Resolved(
        prototypes=given(settings.prototypes, _prototypes(images)),
        teacher_temperature=temperature,
        teacher_temperature_start=given(settings.teacher_temperature_start, temperature),
        # The horizon of the average grows with the run.
        teacher_momentum=given(settings.teacher_momentum, _between(0.99, 0.996, images)),
        # A convnet without it learnt 1.6 points less on 10,000 images; transformers follow the original.
        head_batch_norm=given(settings.head_batch_norm, not is_transformer),
        local_px=given(views.local_px, _local_px(settings.image_px, patch_px)),
        global_scale=given(views.global_scale, (0.4, 1.0) if views.local_crops else (0.14, 1.0)),
        # At 32 px a blur of one pixel already removes what there is to learn; no published CIFAR recipe blurs.
        blur=given(views.blur, (1.0, 0.1, 0.5) if settings.image_px > 32 else (0.0, 0.0, 0.0)),
    )
    log.info("%d images; resolved: %s", images, resolved)
    return resolved


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
