"""A tiny study of natural images, and its images."""

from pathlib import Path

import numpy as np
from PIL import Image

from gensis.planning.images import ImageSet
from gensis.settings.study import Study, load_study

VALUES = {
    "run": "tiny",
    "pretraining": {
        "dataset": "pictures",
        "backbone": "vit_tiny_patch16_224",
        "backbone_args": {"patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 2},
        "image_px": 16,
        "epochs": 2,
        "batch_size": 8,
        "dino": {"prototypes": 16, "head_hidden_dim": 16, "head_bottleneck_dim": 8},
        "views": {"local_crops": 2, "local_px": 8},
    },
    "diffusion": {"channels": [8, 16], "layers_per_block": 1, "attention_levels": 0, "steps": 3, "batch_size": 4},
    "banks": {"default": {"sampling_steps": 2, "shards": 2}},
    "retraining": {"gen-dino": {"bank": "default"}},
    "evaluation": {"datasets": ["pictures"], "knn": [3], "bootstrap": 10},
}
IMAGES = ImageSet(units=2, train=20, test=12, image_px=16, bytes_per_image=700.0)


def tiny_study(folder: Path | str = "pictures", **changes: object) -> Study:
    return load_study(VALUES | {"datasets": {"pictures": {"kind": "folder", "path": str(folder)}}} | changes)


def draw_pictures(folder: Path) -> None:
    """20 PNGs to train on and 12 to test, in two classes."""
    pixels = np.random.default_rng(0).integers(0, 256, (32, 16, 16, 3), np.uint8)
    for number, picture in enumerate(pixels):
        path = folder / ("train" if number < 20 else "test") / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
