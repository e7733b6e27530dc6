"""Pre-training of the encoder (DINO), and its repetition with a bank of self-augmentations (Gen-DINO)."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gensis.settings.base import Fraction, Name, PositiveFloat, PositiveInt, Settings, added
from gensis.settings.presets import with_paper_recipe

Scale = tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]]


class Views(Settings):
    """Multi-crop views of an image (Caron et al. 2021, arXiv 2104.14294, appendix)."""

    local_crops: Annotated[int, Field(ge=0)] = 8
    """Small views an image, seen by the student only; two global ones are always there."""
    local_px: PositiveInt | Literal["auto"] = "auto"
    """Side of a local view. `auto`: 3/7 of image_px (96 of 224), rounded to the patch size."""
    global_scale: Scale | Literal["auto"] = "auto"
    """Area of a global crop as a fraction of the image. `auto`: (0.4, 1) with local crops, (0.14, 1) without."""
    local_scale: Scale = (0.05, 0.4)
    flip: Fraction = 0.5
    """Probability of a horizontal flip."""
    rotate: bool = False
    """Rotate by a random multiple of 90 degrees: tissue has no upright direction."""
    stain: float = added(neutral=0.0, ge=0)
    """H&E stain jitter: amounts of stain are multiplied by 1 +- this and shifted by this (0.05 light, 0.2 strong)."""
    jitter: Fraction = 0.8
    """Probability of colour jitter."""
    brightness: Annotated[float, Field(ge=0)] = 0.4
    contrast: Annotated[float, Field(ge=0)] = 0.4
    saturation: Annotated[float, Field(ge=0)] = 0.2
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    grayscale: Fraction = 0.2
    """Probability of turning grey."""
    blur: tuple[Fraction, Fraction, Fraction] | Literal["auto"] = "auto"
    """Probability of blur for first global, second global, local. `auto`: (1, 0.1, 0.5), none up to 32 px."""
    solarize: Fraction = 0.2
    """Probability of solarisation of the second global view."""


class Pretraining(Settings):
    """DINO: self-distillation without labels. The defaults are the original ViT-S/16 recipe."""

    dataset: Name
    """Data set whose train split is learnt from."""
    preset: Literal["paper"] | None = added(neutral=None)
    """`paper`: the original recipe of ViT-S/16 on ImageNet, nothing left to the data; keys beside it override it."""
    backbone: str = "vit_small_patch16_224"
    """Any timm model name, or `resnet18_cifar` and its like for images of about 32 px (config/backbones.txt)."""
    backbone_args: dict[str, Any] = {}
    """Further arguments of the timm model, such as `patch_size: 4`."""
    init: Name | None = added(neutral=None)
    """Encoder whose weights the backbone starts from: a name in `encoders`, for retraining also `dino`. Empty: none."""
    image_px: PositiveInt = 224
    """Side of a global view."""
    epochs: PositiveInt = 100
    batch_size: Annotated[int, Field(ge=2)] = 512
    """Images a step over all devices."""
    balance_units: bool = added(neutral=False)
    """Every unit (slide, or shard of natural images) gives equally many images an epoch; its length stays the same."""
    gradient_accumulation: PositiveInt = added(neutral=1)
    """Parts of a batch that are passed through the networks one after the other, so that large batches fit."""
    views: Views = Views()
    prototypes: PositiveInt | Literal["auto"] = "auto"
    """Outputs K of the head. `auto` by images: 1024 up to 20,000; 65,536 above 500,000."""
    head_hidden_dim: PositiveInt = 2048
    head_bottleneck_dim: PositiveInt = 256
    head_batch_norm: bool | Literal["auto"] = "auto"
    """BatchNorm in the head. `auto`: for convnets, not for transformers."""
    student_temperature: PositiveFloat = 0.1
    teacher_temperature: PositiveFloat | Literal["auto"] = "auto"
    """Final temperature. `auto` by images: 0.02 up to 20,000, 0.04 (the original's) from 1.3 million."""
    teacher_temperature_start: PositiveFloat | Literal["auto"] = "auto"
    """Temperature at the start of its linear warm-up. `auto`: as teacher_temperature."""
    teacher_temperature_warmup: Fraction | Literal["auto"] = "auto"
    """Part of training over which the teacher's temperature warms up. `auto`: 0.3, at most 30 epochs of ImageNet."""
    centre_momentum: Fraction = 0.9
    teacher_momentum: Fraction | Literal["auto"] = "auto"
    """EMA momentum at the start, cosine to 1. `auto` by images: 0.99 up to 20,000, 0.996 from 1.3 million."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 0.0005
    """At batch 256; scaled linearly with the batch size."""
    minimum_learning_rate: Annotated[float, Field(ge=0)] = 1e-6
    warmup: Fraction | Literal["auto"] = "auto"
    """Part of training over which the learning rate warms up linearly. `auto`: 0.1, at most 10 epochs of ImageNet."""
    weight_decay: tuple[float, float] = (0.04, 0.4)
    """Start and end of the cosine schedule; biases and norms are exempt."""
    gradient_clip_norm: PositiveFloat | None = 3.0
    """Largest norm of the gradient of one parameter tensor, as in the original. Empty: no clipping."""
    freeze_last_layer: Fraction = 0.01
    """Part of training over which the prototypes stay fixed (one epoch in a hundred)."""
    drop_path: Fraction = 0.1
    """Stochastic depth in the student."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the forward passes; losses are always float32."""

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, values: Any) -> Any:
        return with_paper_recipe(values) if isinstance(values, dict) and values.get("preset") == "paper" else values

    @model_validator(mode="after")
    def _fits(self) -> "Pretraining":
        if isinstance(self.views.local_px, int) and self.views.local_px > self.image_px:
            raise ValueError(f"views.local_px {self.views.local_px} is larger than image_px {self.image_px}")
        return self


class Ramp(Settings):
    """A probability that changes over training."""

    start: Fraction
    end: Fraction
    """That one step more would reach."""
    shape: Literal["linear", "cosine"] = "linear"


class Retraining(Pretraining):
    """Gen-DINO: pre-training again from scratch, with a bank. Every key of `pretraining` may be overridden here,
    `views` and `backbone_args` key by key; with another `backbone` no `backbone_args` are inherited."""

    bank: Name | None = None
    """Name in `banks`. Only with `match_compute` may it be left out: DINO again, for longer."""
    match_compute: Name | None = added(neutral=None)
    """Another arm: `epochs` become as many as give the forward and backward passes of that one."""
    real_images: bool = added(neutral=True)
    """If false, all views come from the bank: the global ones, and the local ones, from two different variants."""
    shuffle_bank: bool = added(neutral=False)
    """Give each source the bank's images of another source: the control that must lose."""
    generative_probability: Fraction | Ramp = 1.0
    """Probability that one of an image's two global views comes from the bank; which one is drawn per image.
    `{start: 0, end: 1}` changes it over training, linearly, or with `shape: cosine` along half a cosine."""
    generative_local_fraction: Fraction = 0.5
    """Part of the local views cut from the synthetic image, where there is one."""
    disentangle_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the task of telling an in-between image's two sources apart. At 0 it is not computed."""
    disentangle_probability: Annotated[float, Field(gt=0, le=1)] = added(neutral=1.0)
    """Part of the steps, randomly chosen, in which that task is computed."""
    disentangle_targets: Literal["real", "generative", "both"] = added(neutral="real")
    """Global views of the two sources that give its target: of the images themselves, of generative ones, or the mean
    of both targets. Without real images they are always generative."""
    interpolation: Literal["embedding", "pixel"] = added(neutral="embedding")
    """`pixels`: the same sources, partners and alphas, but their mixture is of pixels instead of embeddings."""

    @model_validator(mode="after")
    def _agrees(self) -> "Retraining":
        if not self.real_images and self.generative_probability != 1:
            raise ValueError("real_images: false takes every view from the bank: leave generative_probability at 1")
        if self.interpolation == "pixel" and not (self.real_images and self.disentangle_targets == "real"):
            raise ValueError("interpolation: pixel mixes real images: leave real_images and disentangle_targets out")
        if self.shuffle_bank and not (self.real_images and self.disentangle_targets == "real"):
            raise ValueError(
                "shuffle_bank: true is no control where the bank's images meet each other alone, all shuffled alike: "
                "leave real_images and disentangle_targets out"
            )
        if self.disentangle_targets != "real" and self.largest_generative_probability == 0:
            raise ValueError(f"disentangle_targets: {self.disentangle_targets} needs a generative_probability above 0")
        return self

    @property
    def largest_generative_probability(self) -> float:
        """Over training."""
        given = self.generative_probability
        return max(given.start, given.end) if isinstance(given, Ramp) else given
