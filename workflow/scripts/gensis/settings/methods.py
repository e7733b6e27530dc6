"""The SSL methods: for each, its own keys, what planning must know of it, and the module that trains it."""

from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

from pydantic import Field

from gensis.settings.base import Fraction, PositiveFloat, PositiveInt, Settings


class DINOKeys(Settings):
    """Keys of DINO, self-distillation without labels (Caron et al. 2021, arXiv 2104.14294)."""

    prototypes: PositiveInt | Literal["auto"] = "auto"
    """Number K of prototypes, the outputs of the head. `auto`, by the number of training images: 1024 up to 20,000,
    65,536 above 500,000."""
    head_hidden_dim: PositiveInt = 2048
    """Width of the hidden layers of the head."""
    head_bottleneck_dim: PositiveInt = 256
    """Width of the bottleneck of the head."""
    head_batch_norm: bool | Literal["auto"] = "auto"
    """BatchNorm in the head. `auto`: on for convnets, off for transformers."""
    student_temperature: PositiveFloat = 0.1
    """Temperature of the student's softmax."""
    teacher_temperature: PositiveFloat | Literal["auto"] = "auto"
    """Temperature of the teacher's softmax after its warm-up. `auto`, by the number of training images: 0.02 up to
    20,000, 0.04 (the original value) from 1.3 million."""
    teacher_temperature_start: PositiveFloat | Literal["auto"] = "auto"
    """Teacher temperature at the start of its linear warm-up. `auto`: the same as teacher_temperature."""
    teacher_temperature_warmup: Fraction | Literal["auto"] = "auto"
    """Fraction of the training in which the teacher temperature warms up. `auto`: 0.3, at most as many steps as 30
    epochs of ImageNet."""
    centre_momentum: Fraction = 0.9
    """Momentum of the centre of the teacher's outputs."""
    teacher_momentum: Fraction | Literal["auto"] = "auto"
    """EMA momentum of the teacher at the start; it follows a cosine to 1. `auto`, by the number of training images:
    0.99 up to 20,000, 0.996 from 1.3 million."""
    freeze_last_layer: Fraction = 0.01
    """Fraction of the training, at its start, in which the prototypes are frozen (one epoch in a hundred)."""


class SimCLRKeys(Settings):
    """Keys of SimCLR, contrastive learning within a batch (Chen et al. 2020, arXiv 2002.05709)."""

    head_hidden_dim: PositiveInt = 2048
    """Width of the hidden layer of the projection head."""
    head_output_dim: PositiveInt = 128
    """Width of its output, in which images are compared."""
    temperature: PositiveFloat | Literal["auto"] = "auto"
    """Temperature of the softmax over the images of a batch. `auto`, by the number of training images: 0.2 up to
    20,000, 0.1 (the original value for ImageNet) from 1.3 million."""


class MoCoV3Keys(Settings):
    """Keys of MoCo v3, contrastive learning with a momentum encoder (Chen et al. 2021, arXiv 2104.02057)."""

    head_hidden_dim: PositiveInt = 4096
    """Width of the hidden layers of projection head and predictor."""
    head_output_dim: PositiveInt = 256
    """Width of their outputs, in which images are compared."""
    temperature: PositiveFloat = 0.2
    """Temperature of the softmax over the images of a batch."""
    teacher_momentum: Fraction | Literal["auto"] = "auto"
    """EMA momentum of the teacher, MoCo's momentum encoder, at the start; it follows a cosine to 1. `auto`: 0.99, the
    original value up to 300 epochs of ImageNet, 0.996 above."""
    freeze_patch_embedding: bool = True
    """Keep a transformer's patch embedding at its random initial values, which makes the training stable."""


@dataclass(frozen=True)
class MethodEntry:
    """An SSL method, as far as planning knows it."""

    implementation: str
    """`module:name` of its class, a `gensis.ssl.method.Method`, which is imported only to train."""
    title: str = ""
    """Proper name, for the report; empty: its name in the registry."""
    keys: type[Settings] = Settings
    """Its own keys: the section of `pretraining` that is named like the method."""
    _: KW_ONLY
    has_teacher: bool = False
    """Whether a second network, a moving average of the trained one, encodes the global views too."""
    uses_local_views: bool = False
    compares_images: bool = False
    """Whether its loss compares the images of a batch, so that a batch cannot be divided into parts."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """Defaults of the keys of `pretraining` that are not those of DINO."""


METHODS: dict[str, MethodEntry] = {
    "dino": MethodEntry("gensis.ssl.methods.dino:DINO", "DINO", DINOKeys, has_teacher=True, uses_local_views=True),
    "simclr": MethodEntry(
        "gensis.ssl.methods.simclr:SimCLR",
        "SimCLR",
        SimCLRKeys,
        compares_images=True,
        # SGD as in lightly's benchmarks of small data sets, since the authors' LARS is for batches of thousands.
        defaults={
            "views": {"local_crops": 0},
            "optimizer": "sgd",
            "learning_rate": 0.12,
            "weight_decay": (5e-4, 5e-4),
            "gradient_clip_norm": None,
            "drop_path": 0.0,
        },
    ),
    "mocov3": MethodEntry(
        "gensis.ssl.methods.mocov3:MoCoV3",
        "MoCo v3",
        MoCoV3Keys,
        has_teacher=True,
        compares_images=True,
        # The authors' values for vision transformers (facebookresearch/moco-v3, CONFIG.md).
        defaults={
            "views": {"local_crops": 0},
            "learning_rate": 1.5e-4,
            "weight_decay": (0.1, 0.1),
            "gradient_clip_norm": None,
            "drop_path": 0.0,
        },
    ),
}
"""Name of each method, which is also that of its encoder. To add a method, see docs/extending.md."""


def own_keys(method: str) -> Any:
    """The field of `Pretraining` with a method's own keys. Absent, as for all other methods, it changes no results."""
    keys = METHODS[method].keys
    about = f"Keys of {method}, allowed only if it is the method."
    return (keys | None, Field(default=None, description=about, json_schema_extra={"neutral": None}))
