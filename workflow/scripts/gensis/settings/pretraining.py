"""Pre-training of the encoder, and retraining with a bank of self-augmentations."""

from typing import Annotated, Any, Literal

from pydantic import Field, create_model, model_validator

from gensis.settings.base import Fraction, Name, PositiveFloat, PositiveInt, Settings, added, laid_over
from gensis.settings.continued import Continued
from gensis.settings.methods import METHODS, own_keys
from gensis.settings.presets import with_paper_recipe

Scale = tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]]


class Views(Settings):
    """Multi-crop views of an image (Caron et al. 2021, arXiv 2104.14294, appendix)."""

    local_crops: Annotated[int, Field(ge=0)] = 8
    """Local views per image, which only the student sees. There are always two global views."""
    local_px: PositiveInt | Literal["auto"] = "auto"
    """Side of a local view in pixels. `auto`: 3/7 of image_px (96 of 224), rounded to a multiple of the patch size."""
    global_scale: Scale | Literal["auto"] = "auto"
    """Area of a global crop as a fraction of the image. `auto`: (0.4, 1) with local crops, (0.14, 1) without."""
    local_scale: Scale = (0.05, 0.4)
    """Area of a local crop as a fraction of the image."""
    flip: Fraction = 0.5
    """Probability of a horizontal flip."""
    rotate: bool = False
    """Rotate by a random multiple of 90 degrees, for images without an upright direction, such as tissue."""
    stain: float = added(neutral=0.0, ge=0)
    """Strength of H&E stain jitter: stain concentrations are scaled by up to 1 +- this and shifted by up to +- this
    (0.05 is weak, 0.2 is strong)."""
    jitter: Fraction = 0.8
    """Probability of colour jitter."""
    brightness: Annotated[float, Field(ge=0)] = 0.4
    """Strength of brightness jitter, as in torchvision's ColorJitter."""
    contrast: Annotated[float, Field(ge=0)] = 0.4
    """Strength of contrast jitter."""
    saturation: Annotated[float, Field(ge=0)] = 0.2
    """Strength of saturation jitter."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """Strength of hue jitter, as a fraction of the full circle."""
    grayscale: Fraction = 0.2
    """Probability of conversion to greyscale."""
    blur: tuple[Fraction, Fraction, Fraction] | Literal["auto"] = "auto"
    """Probability of Gaussian blur for the first global, the second global and the local views. `auto`: (1, 0.1, 0.5)
    above 32 px, no blur up to 32 px."""
    solarize: Fraction = 0.2
    """Probability of solarisation, which only the second global view gets."""


OwnKeys = create_model("OwnKeys", __base__=Settings, **{name: own_keys(name) for name in METHODS})
"""A section for each method with its own keys; only that of the chosen method may be given."""


OF_NETWORKS = {
    **dict.fromkeys(("dataset", "method", *METHODS), True),
    **dict.fromkeys(("backbone", "backbone_args", "image_px", "drop_path", "gradient_accumulation"), True),
    "views": {"local_crops", "local_px"},
}
"""Keys that decide whether the networks of a training can be built, as pydantic's `include`."""


class Pretraining(OwnKeys):
    """Self-supervised training of an encoder, without labels. The defaults are those of DINO's original ViT-S/16
    recipe; where another `method` has other defaults, docs/methods.md lists them."""

    dataset: Name
    """Data set whose train split the encoder is trained on."""
    method: Literal[*METHODS] = "dino"
    """SSL method. Its own keys stand in the section of its name, such as `dino: {prototypes: 4096}`."""
    preset: Literal["paper"] | None = added(neutral=None)
    """`paper`: DINO's original recipe of ViT-S/16 on ImageNet, with no value adapted to the data. Other keys override
    it."""
    backbone: str = "vit_small_patch16_224"
    """A timm model name of config/backbones.txt. `resnet18_cifar`, `resnet34_cifar` and `resnet50_cifar` are for images
    of about 32 px."""
    backbone_args: dict[str, Any] = {}
    """Further arguments for `timm.create_model`, such as `patch_size: 4`."""
    init: Name | None = added(neutral=None)
    """Encoder whose weights initialise the backbone: a name in `encoders`, or for retraining also the pre-trained
    encoder, by the name of its method. Empty: random initialisation."""
    continued: Continued | None = added(neutral=None)
    """Continued pre-training of that encoder. Empty: its weights are only a start; all are trained at one learning
    rate, and images are normalised by the mean and standard deviation of this data set."""
    image_px: PositiveInt = 224
    """Side of a global view in pixels."""
    epochs: PositiveInt = 100
    """Number of epochs."""
    batch_size: Annotated[int, Field(ge=2)] = 512
    """Images per step, over all devices."""
    balance_units: bool = added(neutral=False)
    """Sample equally many images per epoch from every unit (slide, or shard of natural images). The length of an epoch
    stays the same."""
    gradient_accumulation: PositiveInt | Literal["auto"] = added(neutral=1)
    """Number of parts that each batch is divided into to save memory. Their gradients are accumulated. `auto`: the
    fewest that fit in the free memory of the GPU, measured once at the start of the training; 1 on a CPU. Not for
    networks with BatchNorm: with a given number its statistics are those of parts, and `auto` is refused."""
    views: Views = Views()
    """Views, i.e. augmented crops, of an image."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """Optimizer; `sgd` has a momentum of 0.9."""
    learning_rate: PositiveFloat = 0.0005
    """Peak learning rate at batch size 256; it is scaled linearly with the batch size."""
    minimum_learning_rate: Annotated[float, Field(ge=0)] = 1e-6
    """Learning rate at the end of its cosine schedule."""
    warmup: Fraction | Literal["auto"] = "auto"
    """Fraction of the training in which the learning rate warms up linearly. `auto`: 0.1, at most as many steps as 10
    epochs of ImageNet."""
    weight_decay: tuple[float, float] = (0.04, 0.4)
    """Weight decay at the start and the end of its cosine schedule. Biases and norms are exempt."""
    gradient_clip_norm: PositiveFloat | None = 3.0
    """Largest gradient norm of each parameter tensor, as in the original code. Empty: no clipping."""
    drop_path: Fraction = 0.1
    """Rate of stochastic depth in the student."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the forward passes. Losses are always float32."""

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        method = values.get("method", "dino")
        if not isinstance(method, str) or method not in METHODS:
            return values
        values = values | {method: values.get(method) or {}}
        if values.get("preset") == "paper" and method == "dino" and isinstance(values["dino"], dict):
            values = with_paper_recipe(values)
        return laid_over(METHODS[method].defaults, values)

    @model_validator(mode="after")
    def _fits(self) -> "Pretraining":
        method = METHODS[self.method]
        if others := [name for name in METHODS if name != self.method and getattr(self, name) is not None]:
            raise ValueError(
                f"{others[0]}: the method is {self.method}: remove this section, or set method: {others[0]}"
            )
        if self.preset == "paper" and self.method != "dino":
            raise ValueError(f"preset: paper is a recipe of dino: remove it for {self.method}")
        if self.views.local_crops and not method.uses_local_views:
            raise ValueError(f"views.local_crops: {self.method} uses two global views only: set 0")
        if self.gradient_accumulation != 1 and method.compares_images:
            raise ValueError(
                f"gradient_accumulation: {self.method} compares the images of a batch, which parts would make fewer: "
                "leave it at 1 and choose batch_size by memory"
            )
        self._continues()
        if isinstance(self.views.local_px, int) and self.views.local_px > self.image_px:
            raise ValueError(f"views.local_px {self.views.local_px} is larger than image_px {self.image_px}")
        return self

    def _continues(self) -> None:
        """Refuse continued pre-training of nothing, and of a head alone."""
        if self.continued and not self.init:
            raise ValueError("continued: there is no encoder to continue: set init, or remove continued")
        if self.continued and self.continued.head_epochs >= self.epochs:
            raise ValueError(
                f"continued.head_epochs {self.continued.head_epochs} leaves none of the {self.epochs} epochs for the "
                "backbone: lower it"
            )

    @property
    def own(self) -> Any:
        """The method's own keys."""
        return getattr(self, self.method)


class Ramp(Settings):
    """A probability that changes during training."""

    start: Fraction
    """Probability in the first step."""
    end: Fraction
    """Probability at the end of the training, which one step after the last would reach."""
    shape: Literal["linear", "cosine"] = "linear"
    """`linear`, or `cosine` for half a cosine."""


class Retraining(Pretraining):
    """Retraining from scratch with a bank (with DINO: Gen-DINO). All keys of `pretraining` are inherited and may be
    overridden here, sections key by key. An arm with another `backbone` does not inherit `backbone_args`; one with
    another `method` does not inherit `preset` and the section of the method."""

    bank: Name | None = None
    """A name in `banks`. It may be omitted for an arm that trains without a bank, but otherwise than the pre-trained
    encoder: with `match_compute`, more `epochs`, or any other key."""
    match_compute: Name | None = added(neutral=None)
    """Another arm whose compute this arm matches: `epochs` is set so that both have about the same number of forward
    and backward passes."""
    real_images: bool = added(neutral=True)
    """If false, all views come from the bank: global and local views show two different variants of the source."""
    shuffle_bank: bool = added(neutral=False)
    """Give each source the bank images of another source, as a negative control."""
    generative_probability: Fraction | Ramp = 1.0
    """Probability that one of an image's two global views comes from the bank. Which of the two is drawn per image.
    `{start: 0, end: 1}` changes the probability during training, linearly or with `shape: cosine`."""
    generative_views: Literal["replace", "add"] = added(neutral="replace")
    """`replace`: one of an image's two global views shows a generated image. `add`: both show the real image, and only
    the student sees a third, of the generated image, or of the real one where an image gets none. BatchNorm normalises
    the added views and those of interpolated images with statistics of their own, which the encoder does not keep."""
    generative_local_fraction: Fraction = 0.5
    """Fraction of the local views that are crops of the generated image, if the pair has one. With `add`, all local
    views show the real image."""
    disentangle_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the disentanglement loss: disentangling the two sources of an interpolated image. 0 turns it off."""
    disentangle_probability: Annotated[float, Field(gt=0, le=1)] = added(neutral=1.0)
    """Fraction of the steps, chosen at random, in which the disentanglement loss is computed."""
    disentangle_targets: Literal["real", "generative", "both"] = added(neutral="real")
    """Global views of the two sources from which the disentanglement target is computed: of the real images, of
    generative images, or the mean of both targets. Without real images they are always generative."""
    interpolation: Literal["embedding", "pixel"] = added(neutral="embedding")
    """`embedding`: interpolated images generated from interpolated embeddings. `pixel`: the same sources, partners and
    alphas, but the pixels of the two images are interpolated, as in mixup."""

    @model_validator(mode="after")
    def _agrees(self) -> "Retraining":
        if not self.real_images and self.generative_probability != 1:
            raise ValueError("real_images: false takes all views from the bank: leave generative_probability at 1")
        if self.generative_views == "add" and not (self.real_images and self.disentangle_targets == "real"):
            raise ValueError(
                "generative_views: add keeps real images for the teacher: leave out real_images and disentangle_targets"
            )
        if self.interpolation == "pixel" and not (self.real_images and self.disentangle_targets == "real"):
            raise ValueError("interpolation: pixel needs real images: leave out real_images and disentangle_targets")
        if self.shuffle_bank and not (self.real_images and self.disentangle_targets == "real"):
            raise ValueError(
                "shuffle_bank: true is no control if bank images are only compared with one another, shuffled alike: "
                "leave out real_images and disentangle_targets"
            )
        if self.disentangle_targets != "real" and self.largest_generative_probability == 0:
            raise ValueError(f"disentangle_targets: {self.disentangle_targets} needs a generative_probability above 0")
        return self

    def differences(self, pretraining: Pretraining) -> list[str]:
        """Keys of `pretraining` that this arm overrides with another value."""
        return [name for name in Pretraining.model_fields if getattr(self, name) != getattr(pretraining, name)]

    @property
    def largest_generative_probability(self) -> float:
        """Largest value of `generative_probability` during training."""
        given = self.generative_probability
        return max(given.start, given.end) if isinstance(given, Ramp) else given

    @property
    def adds_views(self) -> bool:
        """Whether the student sees a further view of each image."""
        return self.generative_views == "add" and self.largest_generative_probability > 0
