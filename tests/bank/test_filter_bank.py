"""The script on a bank in which every second image is a copy of its source, and the others are other images."""

import argparse
import time

import h5py
import numpy as np
import pytest
import torch
from tests.diffusion.tiny import smooth_images
from torch.nn import functional as F

import filter_bank
from gensis.diffusion.pipeline import slerp
from gensis.images.bank_filter import filter_content, filter_path, read_keep_mask
from gensis.images.codec import encode_png
from gensis.images.embeddings import write_embeddings
from gensis.images.index import write_index
from gensis.images.store import write_store
from gensis.settings.runtime import Runtime
from gensis.ssl.backbone import create_backbone, load_encoder, save_encoder
from gensis.ssl.preprocessing import Preprocessing

IMAGES, PX = 30, 16
ROWS = np.arange(IMAGES)
PARTNERS = (ROWS + 7) % IMAGES
COPIES = ROWS % 2 == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filter")
    images, others = smooth_images(IMAGES, PX), smooth_images(IMAGES, PX, seed=1)
    listed = write_store(folder / "train-0000.h5", map(encode_png, images), {})
    write_index(folder / "train.tsv", [("train-0000", *listed)])
    torch.manual_seed(0)
    name, arguments = "vit_tiny_patch16_224", {"patch_size": 8, "embed_dim": 24, "depth": 1, "num_heads": 2}
    backbone, given = create_backbone(name, PX, arguments)
    save_encoder(
        backbone,
        folder / "encoder",
        name=name,
        arguments=given,
        preprocessing=Preprocessing((PX, PX), (0.5,) * 3, (0.25,) * 3),
    )
    features = embedded(folder, images).numpy()
    write_embeddings(
        folder / "part.h5", [features], unit=np.zeros(IMAGES, int), units=["train-0000"], keys=ROWS.astype(str)
    )
    generated = {
        "generative": np.where(COPIES[:, None, None, None], images, others),
        "interpolated": np.where(COPIES[:, None, None, None], images[PARTNERS], others),
    }
    for shards in (1, 3):
        write_bank(folder / f"bank-{shards}", generated, shards)
    conditions = {"generative": torch.from_numpy(features)}
    pair = (F.normalize(torch.from_numpy(features[rows])) for rows in (ROWS, PARTNERS))
    conditions["interpolated"] = slerp(*pair, torch.full((IMAGES,), 0.75))
    fidelity = {kind: F.cosine_similarity(embedded(folder, generated[kind]), conditions[kind]) for kind in generated}
    return folder, {kind: values.numpy() for kind, values in fidelity.items()}


def embedded(folder, images):
    with torch.inference_mode():
        return load_encoder(folder / "encoder")(torch.from_numpy(images).permute(0, 3, 1, 2))


def write_bank(folder, generated, shards):
    for kind, images in generated.items():
        for shard, rows in enumerate(np.array_split(ROWS, shards)):
            interpolated = kind == "interpolated"
            columns = {
                "source": rows,
                "partner": PARTNERS[rows] if interpolated else np.full(len(rows), -1),
                "alpha": np.full(len(rows), 0.75 if interpolated else 1, np.float32),
            }
            write_store(folder / f"{kind}-{shard:04d}.h5", map(encode_png, images[rows]), {}, columns=columns.copy)


def filtered(folder, stores, **config):
    filter_bank.main(
        argparse.Namespace(
            config=config,
            runtime=Runtime(inference_batch_size=8),
            train=folder / "train.tsv",
            embeddings=[folder / "part.h5"],
            encoder=folder / "encoder",
            stores=stores,
            **{"seed": 0, "threads": 1, "gpus": 0, "started": time.time()},
        )
    )
    return np.concatenate([read_keep_mask(store) for store in stores])


@pytest.mark.parametrize("kind", ["generative", "interpolated"])
def test_copies_of_source_or_partner_are_left_out(made, kind):
    folder, _ = made
    assert (filtered(folder, [folder / "bank-1" / f"{kind}-0000.h5"], copying_ratio=0.01) == ~COPIES).all()


@pytest.mark.parametrize("kind", ["generative", "interpolated"])
def test_images_of_low_fidelity_are_left_out(made, kind):
    folder, fidelity = made
    ordered = np.sort(fidelity[kind])
    least = float(ordered[10] + ordered[11]) / 2
    store = folder / "bank-1" / f"{kind}-0000.h5"
    assert (filtered(folder, [store], minimum_fidelity=least) == (fidelity[kind] > least)).all()
    with h5py.File(filter_path(store)) as file:
        np.testing.assert_allclose(file["fidelity"][:], fidelity[kind], atol=1e-5)


@pytest.mark.parametrize("kind", ["generative", "interpolated"])
def test_number_of_shards_changes_no_bit_of_the_measurements(made, kind):
    folder, _ = made
    measured = []
    for shards in (1, 3):
        stores = sorted((folder / f"bank-{shards}").glob(f"{kind}-*.h5"))
        filtered(folder, stores, minimum_fidelity=0.5, copying_ratio=0.33)
        files = [h5py.File(filter_path(store)) for store in stores]
        measured.append({name: np.concatenate([file[name][:] for file in files]) for name in files[0]})
    assert all(np.array_equal(values, measured[1][name]) for name, values in measured[0].items())


def test_thresholds_that_keep_the_same_images_give_the_same_content(made):
    folder, _ = made
    store = folder / "bank-1" / "generative-0000.h5"
    contents = []
    for ratio in (0.01, 0.02, 0.0):
        filtered(folder, [store], copying_ratio=ratio, minimum_fidelity=-0.999)
        contents.append(filter_content(store))
    assert contents[0] == contents[1] != contents[2]


def test_an_empty_store_has_an_empty_filter(made, tmp_path):
    write_bank(tmp_path, {"generative": np.zeros((IMAGES, PX, PX, 3), np.uint8)}, IMAGES + 1)
    assert len(filtered(made[0], [tmp_path / f"generative-{IMAGES:04d}.h5"], copying_ratio=0.3)) == 0
