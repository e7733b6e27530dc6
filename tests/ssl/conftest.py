from functools import partial

import numpy as np
import pytest
import torch

from gensis.images.codec import encode_png
from gensis.images.index import read_index, write_index
from gensis.images.reading import open_images
from gensis.images.store import write_store
from gensis.settings.methods import DINOKeys
from gensis.settings.pretraining import Pretraining, Retraining
from gensis.settings.runtime import Runtime
from gensis.ssl.bank_images import open_bank
from gensis.ssl.pretrainer import Pretrainer
from gensis.training.distributed import World

CPU = torch.device("cpu")
HELD = partial(open_images, device=CPU, image_cache_gb=1.0, threads=1)
TINY = {
    "dataset": "d",
    "backbone": "vit_tiny_patch16_224",
    "backbone_args": {"patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 2},
    "image_px": 16,
    "epochs": 2,
    "batch_size": 8,
    "dino": {"prototypes": 16, "head_hidden_dim": 16, "head_bottleneck_dim": 8},
    "learning_rate": 0.05,
    "views": {"local_crops": 2, "local_px": 8},
}


@pytest.fixture
def pictures():
    """24 images of 16 px: uint8 (24, 16, 16, 3)."""
    return np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), np.uint8)


def write_images(folder, pictures):
    count, content = write_store(folder / "train-0000.h5", map(encode_png, pictures), {})
    write_index(folder / "train.tsv", [("train-0000", count, content)])


@pytest.fixture
def images(tmp_path, pictures):
    write_images(tmp_path, pictures)
    return open_images(read_index(tmp_path / "train.tsv"), CPU, 1.0, 1)


def write_bank(folder, pictures, sources, partners, alphas, kind):
    columns = {
        "source": np.asarray(sources, np.int64),
        "partner": np.asarray(partners, np.int64),
        "alpha": np.asarray(alphas, np.float32),
    }
    write_store(folder / f"{kind}-0000.h5", map(encode_png, pictures), {}, columns=lambda: columns)


@pytest.fixture
def copies(tmp_path, pictures):
    """A bank whose synthetic images are the sources themselves."""
    count = len(pictures)
    write_bank(tmp_path, pictures, range(count), [-1] * count, [1.0] * count, "generative")
    partners = np.roll(np.arange(count), 1)
    write_bank(tmp_path, pictures, range(count), partners, [0.5] * count, "interpolated")
    return {kind: open_bank(tmp_path, kind, sources=count, open_images=HELD) for kind in ("generative", "interpolated")}


@pytest.fixture
def make_pretrainer(images):
    def make(seed=0, generative=None, interpolated=None, runtime=Runtime(), init=None, **settings):
        tiny = {key: value for key, value in TINY.items() if key != "dino"}
        if settings.get("method", "dino") == "dino":
            tiny["dino"] = TINY["dino"] | {key: settings.pop(key) for key in DINOKeys.model_fields if key in settings}
        has_bank = generative is not None or interpolated is not None or "disentangle_weight" in settings
        tiny |= settings | ({"init": "theirs"} if init else {})
        model = Retraining(bank="b", **tiny) if has_bank else Pretraining(**tiny)
        return Pretrainer(
            model,
            images,
            device=CPU,
            world=World(),
            seed=seed,
            generative=generative,
            interpolated=interpolated,
            runtime=runtime,
            init=init,
        )

    return make
