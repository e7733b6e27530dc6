"""Verification of a finished run: damaged files, and files that do not match each other."""

import json
import shutil

import h5py
import pytest
import yaml

from gensis.artifacts.files import read_json, write_json
from gensis.artifacts.hdf5 import written_hdf5
from gensis.artifacts.tables import read_table, write_table
from gensis.settings.study import load_study
from gensis.verification.study import verify


@pytest.fixture(scope="module")
def results(finished, tmp_path_factory):
    """A copy of the results, which tests damage and restore."""
    folder = tmp_path_factory.mktemp("verify") / "results"
    return shutil.copytree(finished.clone / "results", folder, ignore=shutil.ignore_patterns("checkpoints", "logs"))


@pytest.fixture
def check(finished, results):
    """A function that verifies the copy: a line per reported file, with its path below `results/`."""

    def lines(**sections):
        found = verify(load_study(finished.values | sections), results / "tiny", results / "images")
        return [line.replace(f"{results}/", "") for line in found]

    return lines


@pytest.fixture
def mended(results):
    """A function that gives a file of the copy, which a test may damage or remove; it is restored afterwards."""
    originals = {}

    def path(name):
        originals[results / name] = (results / name).read_bytes()
        return results / name

    yield path
    for each, content in originals.items():
        each.write_bytes(content)


def flip(place):
    """Flip a bit at a relative position in the file."""

    def damage(path):
        content = bytearray(path.read_bytes())
        content[int(place * len(content))] ^= 1
        path.write_bytes(content)

    return damage


def flip_in(dataset):
    """Change a value in a dataset of an HDF5 file."""

    def damage(path):
        with h5py.File(path, "r+") as file:
            values = file[dataset][:]
            values.view("uint8").reshape(-1)[-1] ^= 1
            file[dataset][:] = values

    return damage


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def remove(path):
    path.unlink()


def swap(old, new):
    """Replace the last occurrence of a text."""

    def damage(path):
        before, found, after = path.read_text().rpartition(old)
        assert found
        path.write_text(before + new + after)

    return damage


STORE, OUTCOME = "images/tissue/lymphoid-1.h5", "images/tissue/lymphoid-1.json"
ENCODER, DIFFUSION = "tiny/encoders/dino/seed0", "tiny/diffusion/dino/seed0"
PART, TESTED = "tiny/embeddings/dino/tissue/seed0/part-0000.h5", "tiny/embeddings/gen-dino/tissue/seed0/part-0001.h5"
SHARD, FILTER = "tiny/bank/default/seed0/generative-0000.h5", "tiny/bank/default/seed0/filter/interpolated-0000.h5"
MEASURED = "tiny/evaluation/gen-dino/tissue/seed0"


def test_an_intact_run_passes(check):
    assert check() == []


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (STORE, flip_in("encoded")),
        (OUTCOME, swap('"failed": 0', '"failed": 1')),
        ("images/tissue/train.tsv", swap("lymphoid-2\t", "lymphoid-3\t")),
        ("images/tissue/units.tsv", cut),
        ("images/tissue/labels.tsv", swap("lymphoid", "glandular")),
        ("images/tissue/outcomes.tsv", swap("no_tissue", "unreadable")),
        (f"{ENCODER}/model.safetensors", flip(0.9)),
        (f"{ENCODER}/config.json", swap("16", "17")),
        (f"{ENCODER}/history.csv", cut),
        (f"{ENCODER}/embedding_snapshots.h5", flip_in("features")),
        (f"{ENCODER}/provenance.json", swap('"seed": 0', '"seed": 1')),
        (f"{DIFFUSION}/denoiser/diffusion_pytorch_model.safetensors", flip(0.5)),
        (PART, flip_in("features")),
        (PART, flip_in("unit")),
        ("tiny/features/dino/tissue/seed0/lymphoid-1.h5", flip_in("features")),
        (SHARD, flip_in("encoded")),
        (SHARD, remove),
        (FILTER, flip_in("keep")),
        ("tiny/bank/default/seed0/quality.json", cut),
        (f"{MEASURED}/knn.json", swap('"value": 0.', '"value": 0.1')),
        (f"{MEASURED}/knn.json", remove),
        (f"{MEASURED}/predictions.h5", flip_in("linear/predicted")),
        (f"{MEASURED}/attention.h5", flip_in("coords/lymphoid-3")),
        ("tiny/evaluation/dino/tissue/seed0/knn_history.csv", cut),
        ("tiny/summary.csv", swap("0.", "0.1")),
        ("tiny/comparisons.csv", cut),
        ("tiny/config.yaml", swap("1000", "1001")),
        ("tiny/report.html", cut),
    ],
)
def test_a_damaged_file_is_reported_alone_and_once(check, mended, name, damage):
    damage(mended(name))
    (line,) = check()
    assert line.startswith(f"{name}: ")


def test_all_damaged_files_are_reported(check, mended):
    names = [STORE, "images/tissue/units.tsv", "images/tissue/train.tsv", f"{ENCODER}/provenance.json", PART, FILTER]
    names += [f"{MEASURED}/predictions.h5", "tiny/provenance.json"]
    for name in names:
        empty(mended(name))
    assert sorted(line.partition(": ")[0] for line in check()) == sorted(names)


def test_parts_of_a_data_set_that_was_larger_are_not_read(check, results):
    left_over = (results / PART).with_name("part-0009.h5")
    shutil.copy(results / PART, left_over)
    with h5py.File(left_over, "r+") as file:
        file["content"][0] = "0" * 16
    assert check() == []
    left_over.unlink()


def test_features_of_tiles_that_are_not_used_any_more_are_reported(check, mended, results):
    folder = results / "tiny/features/dino/tissue/seed0"
    mended("tiny/features/dino/tissue/seed0/lymphoid-1.h5")
    with h5py.File(folder / "lymphoid-1.h5") as file, written_hdf5(folder / "removed.h5") as fewer:
        tiles = len(file["features"])
        fewer["features"], fewer["coords"] = file["features"][:-1], file["coords"][:-1]
        fewer.attrs.update({name: file.attrs[name] for name in ("format", "provenance")})
    shutil.copy(folder / "removed.h5", folder / "lymphoid-1.h5")
    found = sorted(check())
    (folder / "removed.h5").unlink()
    assert [line.partition(":")[0].rpartition("/")[2] for line in found] == ["lymphoid-1.h5", "removed.h5"]
    assert f"of which {tiles} are used now" in found[0]
    assert "of which 0 are used now" in found[1]


def test_missing_embeddings_are_reported(check, mended):
    remove(mended(TESTED))
    assert check() == [f"{TESTED.rpartition('/')[0]}: has no embeddings of lymphoid-3 and 2 more units"]


def test_a_second_data_set_without_train_table_is_checked_too(check, results, mended):
    second = results / "images/second"
    shutil.copytree(results / "images/tissue", second, ignore=shutil.ignore_patterns("train.tsv", "labels.tsv"))
    values = yaml.safe_load(mended("tiny/config.yaml").read_text())
    try:
        datasets = values["datasets"] | {"second": values["datasets"]["tissue"]}
        sections = {"datasets": datasets, "evaluation": values["evaluation"] | {"datasets": ["tissue", "second"]}}
        (line,) = check(**sections)
        assert line == "tiny/config.yaml: other settings than the config's (datasets, evaluation)"
        flip_in("encoded")(second / "glandular-3.h5")
        assert [line.partition(":")[0] for line in check(**sections)] == [
            "tiny/config.yaml",
            "images/second/glandular-3.h5",
        ]
    finally:
        shutil.rmtree(second)


def test_images_tiled_again_by_another_study_are_reported(check, mended):
    """The stores have the other study's settings, and its tables list stores that this run was not made from."""
    table = mended("images/tissue/train.tsv")
    with h5py.File(mended(STORE), "r+") as file:
        file.attrs["content"] = "0" * 16  # another content id
        record = json.loads(file.attrs["provenance"])
        file.attrs["provenance"] = json.dumps(record | {"settings": record["settings"] | {"mpp": 2.0}})
    rows = read_table(table)
    lines = [row | ({"content": "0" * 16} if row["unit"] == "lymphoid-1" else {}) for row in rows]
    write_table(table, list(rows[0]), [list(line.values()) for line in lines])
    found = dict(line.split(": ", 1) for line in check())
    assert "made with other settings than the config's (mpp)" in found[STORE]
    assert found["images/tissue/train.tsv"].startswith(
        "not the table that tiny/encoders/dino/seed0/provenance.json and "
    )
    assert f"made from another {STORE} than the current one" in found[PART]


def test_files_made_from_earlier_weights_are_reported(check, mended):
    path = mended(f"{ENCODER}/provenance.json")
    write_json(path, read_json(path) | {"weights": "0" * 16})
    found = dict(line.split(": ", 1) for line in check())
    assert found[PART] == f"made from another {ENCODER}/model.safetensors than the current one"
    parts, filters = [PART, PART.replace("0000", "0001")], [FILTER, FILTER.replace("interpolated", "generative")]
    assert set(found) == {*parts, *filters, "tiny/bank/default/seed0/quality.json", f"{ENCODER}/provenance.json"}


@pytest.mark.parametrize(
    ("section", "change", "named"),
    [
        ("diffusion", {"steps": 21}, [f"{DIFFUSION}/provenance.json"]),
        ("embedding", {"normalize": True}, [PART, TESTED]),
        ("evaluation", {"folds": 3}, [f"{MEASURED}/knn.json", f"{MEASURED}/attention.h5"]),
    ],
)
def test_files_made_with_other_settings_are_reported(check, finished, section, change, named):
    found = dict(line.split(": ", 1) for line in check(**{section: finished.values.get(section, {}) | change}))
    assert "tiny/config.yaml" in found
    for name in named:
        assert found[name] == f"made with other settings than the config's ({', '.join(change)})"
