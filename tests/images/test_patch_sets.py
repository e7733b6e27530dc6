"""Published sets of patches, drawn in the layout of their authors and read with the shipped configs."""

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from PIL import Image
from tests.images.test_import import import_units, picture

from gensis.artifacts.tables import read_table
from gensis.errors import UserError
from gensis.images import dataset_tables
from gensis.images.codec import decode
from gensis.images.store import Store
from gensis.settings import load_study
from gensis.settings.datasets import Dataset
from gensis.settings.units import list_units

CONFIGS = Path(__file__).parents[2] / "config"


def dataset_of(name: str, **place: str) -> Dataset:
    """The data set of a shipped config, in another place and in one shard."""
    values = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    values["datasets"][name] |= {"shards": 1} | place
    return load_study(values).datasets[name]


def imported(folder: Path, dataset: Dataset) -> dict[str, list[tuple[np.ndarray, str, str]]]:
    """Pixels, label and group of each image of train and test."""
    sheet = Path(dataset.sheet) if dataset.kind == "files" else None
    import_units(folder, dataset.model_dump(mode="json"), sheet)
    dataset_tables.write_labels(folder / "labels.tsv", dataset, list_units(dataset, sheet))
    found: dict[str, list] = {"train": [], "test": []}
    for row in read_table(folder / "labels.tsv"):
        with Store(folder / f"{row['unit']}.h5") as store:
            (encoded,) = store.read(int(row["row"]), int(row["row"]) + 1)
        found[row["unit"].removesuffix("-0000")].append((decode(encoded), row["label"], row["group"]))
    return found


def draw_pcam(folder: Path, split: str, labels: list[int], slides: list[str]) -> np.ndarray:
    images = np.stack([picture(len(split) + number, 96, 96) for number in range(len(labels))])
    with h5py.File(folder / f"camelyonpatch_level_2_split_{split}_x.h5", "w") as file:
        file.create_dataset("x", data=images, chunks=(1, 96, 96, 3), compression="gzip")
    with h5py.File(folder / f"camelyonpatch_level_2_split_{split}_y.h5", "w") as file:
        file["y"] = np.array(labels, np.uint8).reshape(-1, 1, 1, 1)
    with open(folder / f"camelyonpatch_level_2_split_{split}_meta.csv", "w", newline="") as file:
        lines = [(number, 0, 0, label, label, slide) for number, (label, slide) in enumerate(zip(labels, slides))]
        csv.writer(file).writerows([("", "coord_y", "coord_x", "tumor_patch", "center_tumor_patch", "wsi"), *lines])
    return images


def test_pcam_is_read_with_its_splits_labels_and_slides(tmp_path):
    train = draw_pcam(tmp_path, "train", [1, 0, 1], ["slide_1", "slide_1", "slide_2"])
    draw_pcam(tmp_path, "valid", [1], ["slide_3"])
    test = draw_pcam(tmp_path, "test", [0, 1], ["slide_4", "slide_5"])
    found = imported(tmp_path, dataset_of("pcam", path=str(tmp_path)))
    assert [each[1:] for each in found["train"]] == [
        ("tumor", "slide_1"), ("no_tumor", "slide_1"), ("tumor", "slide_2")
    ]  # fmt: skip
    assert [each[1:] for each in found["test"]] == [("no_tumor", "slide_4"), ("tumor", "slide_5")]
    np.testing.assert_array_equal([pixels for pixels, *_ in found["train"]], train)
    np.testing.assert_array_equal([pixels for pixels, *_ in found["test"]], test)


def test_pcam_without_the_table_of_slides_has_no_groups(tmp_path):
    for split in ("train", "test"):
        draw_pcam(tmp_path, split, [0, 1], ["a", "b"])
        (tmp_path / f"camelyonpatch_level_2_split_{split}_meta.csv").unlink()
    found = imported(tmp_path, dataset_of("pcam", path=str(tmp_path)))
    assert [each[1:] for each in found["test"]] == [("no_tumor", ""), ("tumor", "")]


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("x", np.zeros((2, 96, 96, 3)), r"train_x.h5: `x` must be uint8"),
        ("y", np.zeros((3, 1, 1, 1), np.uint8), r"train_y.h5: `y` must be 0 or 1 for each of the 2 images"),
        ("y", np.array([0, 2], np.uint8), r"train_y.h5: `y` must be 0 or 1"),
    ],
)
def test_files_that_are_not_as_the_authors_made_them_are_refused(tmp_path, name, values, reason):
    for split in ("train", "test"):
        draw_pcam(tmp_path, split, [0, 1], ["a", "b"])
    with h5py.File(tmp_path / f"camelyonpatch_level_2_split_train_{name}.h5", "w") as file:
        file[name] = values
    with pytest.raises(UserError, match=reason):
        imported(tmp_path, dataset_of("pcam", path=str(tmp_path)))


def test_crc_is_read_from_its_two_folders_of_tiffs(tmp_path):
    for number, name in enumerate(("NCT-CRC-HE-100K/ADI/ADI-A.tif", "NCT-CRC-HE-100K/TUM/TUM-A.tif",
                                   "CRC-VAL-HE-7K/TUM/TUM-B.tif")):  # fmt: skip
        path = tmp_path / "crc" / name
        path.parent.mkdir(parents=True)
        Image.fromarray(picture(number)).save(path)
    found = imported(tmp_path, dataset_of("crc", path=str(tmp_path / "crc")))
    assert [label for _, label, _ in found["train"]] == ["ADI", "TUM"]
    ((pixels, label, _),) = found["test"]
    np.testing.assert_array_equal(pixels, picture(2))
    assert label == "TUM"


def test_mhist_is_read_by_its_annotations(tmp_path):
    lines = [("MHIST_aaa.png", "SSA", "6", "train"), ("MHIST_aab.png", "HP", "0", "test"),
             ("MHIST_aac.png", "HP", "2", "train")]  # fmt: skip
    (tmp_path / "images").mkdir()
    for number, (name, *_) in enumerate(lines):
        Image.fromarray(picture(number)).save(tmp_path / "images" / name)
    votes = "Number of Annotators who Selected SSA (Out of 7)"
    with open(tmp_path / "annotations.csv", "w", newline="") as file:
        csv.writer(file).writerows([("Image Name", "Majority Vote Label", votes, "Partition"), *lines])
    found = imported(tmp_path, dataset_of("mhist", sheet=str(tmp_path / "annotations.csv")))
    assert [label for _, label, _ in found["train"]] == ["SSA", "HP"]
    ((pixels, label, _),) = found["test"]
    np.testing.assert_array_equal(pixels, picture(1))
    assert label == "HP"


def test_absent_files_are_named_before_anything_runs(tmp_path):
    draw_pcam(tmp_path, "train", [0, 1], ["a", "b"])
    with pytest.raises(UserError, match=r"split_test_x.h5 does not exist: download PatchCamelyon and unpack"):
        list_units(dataset_of("pcam", path=str(tmp_path)), None)
    (tmp_path / "annotations.csv").write_text("Image Name,Majority Vote Label,Partition\nMHIST_aaa.png,SSA,train\n")
    mhist = dataset_of("mhist", sheet=str(tmp_path / "annotations.csv"))
    with pytest.raises(UserError, match=r"images/MHIST_aaa.png of 'MHIST_aaa.png' does not exist"):
        list_units(mhist, Path(mhist.sheet))


def test_one_file_for_both_splits_is_refused(tmp_path):
    draw_pcam(tmp_path, "train", [0, 1], ["a", "b"])
    twice = dataset_of("pcam", path=str(tmp_path)).model_copy(update={"splits": {"train": "train", "test": "train"}})
    with pytest.raises(UserError, match="share images"):
        list_units(twice, None)
