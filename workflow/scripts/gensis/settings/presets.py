"""Published recipes by name: defaults for keys that the user does not set."""

from typing import Any

from gensis.settings.base import laid_over

# Caron et al. 2021 (arXiv 2104.14294): ViT-S/16 on ImageNet, 100 epochs, the defaults of the authors' code;
# k-NN 69.3 and linear 74.0. The authors used float16 with loss scaling; bfloat16 needs no loss scaling.
PAPER: dict[str, Any] = {
    "backbone": "vit_small_patch16_224",
    "image_px": 224,
    "epochs": 100,
    "batch_size": 512,
    "optimizer": "adamw",
    "learning_rate": 0.0005,
    "minimum_learning_rate": 1e-6,
    "weight_decay": (0.04, 0.4),
    "gradient_clip_norm": 3.0,
    "drop_path": 0.1,
    "precision": "bfloat16",
}
PAPER_DINO: dict[str, Any] = {
    "prototypes": 65_536,
    "head_hidden_dim": 2048,
    "head_bottleneck_dim": 256,
    "head_batch_norm": False,
    "student_temperature": 0.1,
    "teacher_temperature": 0.04,
    "teacher_temperature_start": 0.04,
    "teacher_temperature_warmup": 0.0,
    "centre_momentum": 0.9,
    "teacher_momentum": 0.996,
}
PAPER_VIEWS: dict[str, Any] = {
    "local_crops": 8,
    "local_px": 96,
    "global_scale": (0.4, 1.0),
    "local_scale": (0.05, 0.4),
    "flip": 0.5,
    "rotate": False,
    "jitter": 0.8,
    "brightness": 0.4,
    "contrast": 0.4,
    "saturation": 0.2,
    "hue": 0.1,
    "grayscale": 0.2,
    "blur": (1.0, 0.1, 0.5),
    "solarize": 0.2,
}
PAPER_WARMUP_EPOCHS = 10
PAPER_FROZEN_EPOCHS = 1


def with_paper_recipe(values: dict[str, Any]) -> dict[str, Any]:
    """``values`` of `pretraining`, not validated yet, with the original recipe for missing keys.

    Durations that the recipe gives in epochs become fractions of the training.
    """
    values = laid_over(PAPER | {"dino": PAPER_DINO, "views": PAPER_VIEWS}, values)
    epochs = values["epochs"]
    if isinstance(epochs, int) and epochs > 0:
        values.setdefault("warmup", min(PAPER_WARMUP_EPOCHS / epochs, 1.0))
        values["dino"] = {"freeze_last_layer": PAPER_FROZEN_EPOCHS / epochs} | values["dino"]
    return values
