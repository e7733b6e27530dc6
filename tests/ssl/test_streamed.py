import numpy as np
import torch

from gensis.images.codec import encode_png
from gensis.images.index import read_index, write_index
from gensis.images.reading import HeldImages, StreamedImages, open_images
from gensis.images.store import write_store
from gensis.settings.pretraining import Pretraining
from gensis.ssl.pretrainer import Pretrainer
from gensis.training.distributed import World

CPU = torch.device("cpu")
TINY = {
    "dataset": "d",
    "backbone": "vit_tiny_patch16_224",
    "backbone_args": {"patch_size": 8, "embed_dim": 24, "depth": 1, "num_heads": 2},
    "image_px": 16,
    "epochs": 2,
    "batch_size": 4,
    "dino": {"prototypes": 16, "head_hidden_dim": 16, "head_bottleneck_dim": 8},
    "views": {"local_crops": 0},
}


def write_units(folder, counts):
    """Units with ``counts`` random images of 16 px."""
    random, units = np.random.default_rng(0), []
    for number, count in enumerate(counts):
        images = [encode_png(image) for image in random.integers(0, 256, (count, 16, 16, 3), np.uint8)]
        units.append((f"u{number}", *write_store(folder / f"u{number}.h5", images, {})))
    write_index(folder / "train.tsv", units)
    return read_index(folder / "train.tsv")


def pretrainer(images, **settings):
    return Pretrainer(Pretraining.model_validate(TINY | settings), images, device=CPU, world=World(), seed=0)


def losses(trainer, steps):
    found = []
    for step in range(steps):
        torch.manual_seed(step)
        found.append(float(trainer.step(step)["loss"]))
    return found


def test_training_is_the_same_with_cached_and_streamed_images(tmp_path):
    index = write_units(tmp_path, [9, 4])
    held, streamed = (open_images(index, CPU, image_cache_gb, 2) for image_cache_gb in (1.0, 1e-9))
    assert isinstance(held, HeldImages)
    assert isinstance(streamed, StreamedImages)
    assert losses(pretrainer(held), 5) == losses(pretrainer(streamed), 5)


def test_balance_units_samples_equally_many_images_per_unit(tmp_path):
    index = write_units(tmp_path, [2, 14])
    trainer = pretrainer(open_images(index, CPU, 1.0, 1), balance_units=True)
    rows = torch.cat([trainer.sampler.rows(step) for step in range(trainer.sampler.steps_per_epoch)])
    assert (rows < 2).sum() == (rows >= 2).sum() == 8
