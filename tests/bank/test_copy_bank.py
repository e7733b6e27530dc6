"""Banks of real images: the script on a tiny data set whose embeddings form clusters."""

import json

import numpy as np
import pytest
from tests.diffusion.tiny import HELD, run_script, write_dataset, write_features

from gensis.images.index import read_index
from gensis.images.store import Store
from gensis.ssl.bank_images import bank_contents, open_bank

IMAGES, CLUSTERS, VARIANTS = 24, 4, 3


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A train split in two stores; images in the same cluster have nearly the same embedding."""
    folder = tmp_path_factory.mktemp("copies")
    train = write_dataset(folder / "images", IMAGES, 16, units=2)
    centres = np.eye(CLUSTERS, 6)[np.arange(IMAGES) % CLUSTERS]
    features = centres + np.random.default_rng(0).normal(size=(IMAGES, 6)) / 100
    write_features(folder / "part-0000.h5", train, 6, features.astype(np.float32))
    for shards in (1, 3):
        for shard in range(shards):
            copy(folder, folder / f"neighbours-{shards}", {"kind": "neighbours", "variants": VARIANTS}, shard, shards)
    copy(folder, folder / "sources", {"kind": "sources"})
    return folder


def copy(folder, bank, config, shard=0, shards=1, status=0):
    embeddings = [folder / "part-0000.h5"] if config["kind"] == "neighbours" else []
    return run_script(
        "copy_bank",
        *("--config", json.dumps(config), "--train", folder / "images/train.tsv", "--embeddings", *embeddings),
        *("--seed", 0, "--gpus", 0, "--shard", shard, "--shards", shards),
        *("--generative", bank / f"generative-{shard:04d}.h5", "--interpolated", bank / f"interpolated-{shard:04d}.h5"),
        status=status,
    )


def images_and_columns(bank):
    """All encoded images of a bank, and its columns."""
    images, columns = [], {"source": [], "variant": [], "copied": [], "partner": [], "alpha": []}
    for path in sorted(bank.glob("generative-*.h5")):
        with Store(path) as store:
            images += store.read(0, len(store))
            for name, values in columns.items():
                values += store.column(name).tolist()
    return images, {name: np.array(values) for name, values in columns.items()}


def encoded_originals(folder):
    images = []
    for path in read_index(folder / "images/train.tsv").paths():
        with Store(path) as store:
            images += store.read(0, len(store))
    return images


def test_neighbours_of_a_clustered_set_are_other_images_of_the_same_cluster(made):
    _, columns = images_and_columns(made / "neighbours-1")
    assert columns["source"].tolist() == np.repeat(np.arange(IMAGES), VARIANTS).tolist()
    assert columns["variant"].tolist() == list(range(VARIANTS)) * IMAGES
    assert (columns["copied"] % CLUSTERS == columns["source"] % CLUSTERS).all()
    assert (columns["copied"] != columns["source"]).all()
    assert all(len(set(each)) == VARIANTS for each in columns["copied"].reshape(-1, VARIANTS).tolist())


@pytest.mark.parametrize("bank", ["neighbours-1", "neighbours-3", "sources"])
def test_images_are_copied_byte_by_byte(made, bank):
    images, columns = images_and_columns(made / bank)
    originals = encoded_originals(made)
    assert images == [originals[row] for row in columns["copied"]]
    assert (set(columns["partner"].tolist()), set(columns["alpha"].tolist())) == ({-1}, {1.0})


def test_sources_are_copies_of_themselves(made):
    _, columns = images_and_columns(made / "sources")
    assert columns["copied"].tolist() == columns["source"].tolist() == list(range(IMAGES))


def test_number_of_shards_changes_no_image(made):
    (whole, of_whole), (divided, of_divided) = (images_and_columns(made / f"neighbours-{n}") for n in (1, 3))
    assert whole == divided
    assert all(np.array_equal(of_whole[name], of_divided[name]) for name in of_whole)


def test_a_bank_of_real_images_is_read_as_any_bank(made):
    bank = open_bank(made / "neighbours-3", "generative", sources=IMAGES, open_images=HELD)
    assert bank.first.diff().tolist() == [VARIANTS] * IMAGES
    assert open_bank(made / "neighbours-3", "interpolated", sources=IMAGES, open_images=HELD) is None
    assert set(bank_contents(made / "sources")) == {"generative-0000", "interpolated-0000"}


def test_provenance_names_the_embeddings_only_where_neighbours_were_searched(made):
    for bank, inputs in {"neighbours-1": {"train", "embeddings"}, "sources": {"train"}}.items():
        with Store(made / bank / "generative-0000.h5") as store:
            record = json.loads(store.file.attrs["provenance"])
        assert (record["format"], set(record["inputs"])) == ("gensis-bank/1", inputs)


def test_more_neighbours_than_images_are_refused_in_one_line(made, tmp_path):
    log = copy(made, tmp_path / "bank", {"kind": "neighbours", "variants": IMAGES}, status=1)
    assert log.splitlines()[-1].startswith(f"error: {IMAGES} neighbours of each image were asked for, but there are 23")
    assert not list(tmp_path.rglob("*.h5"))
