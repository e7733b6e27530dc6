"""Images packed in one HDF5 file: valid and invalid files."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.images.test_import import import_units, picture

from gensis.artifacts.tables import read_table
from gensis.errors import UserError
from gensis.images import dataset_tables
from gensis.images.codec import encode_png
from gensis.images.sources import PackedHdf5, open_source
from gensis.settings.datasets import Hdf5Dataset
from gensis.settings.units import list_units

DATA = Path(os.environ.get("GENSIS_DATA", Path(__file__).parents[3] / "shared/data"))
REAL = DATA / "histology/lc25000-lung96/lc25000_lung96_jpeg.h5"
IMAGES = [encode_png(picture(number)) for number in range(4)]
OFFSETS = np.cumsum([0, *map(len, IMAGES)])
END = int(OFFSETS[-1])


def pack(path, classes=None, group="train", images=IMAGES, **columns):
    """A file with a group of four images; `columns` replace the default ones, None removes one."""
    with h5py.File(path, "a") as file:
        if classes is not None:
            file.attrs["classes"] = classes
        made = {"jpeg": np.frombuffer(b"".join(images), np.uint8), "offsets": np.cumsum([0, *map(len, images)])}
        for name, values in (made | columns).items():
            if values is not None:
                file.create_group(group) if group not in file else None
                file[group][name] = values
    return path


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"offsets": OFFSETS.astype(float)}, "`offsets` must be one-dimensional integers"),
        ({"offsets": OFFSETS.reshape(1, -1)}, "`offsets` must be one-dimensional integers"),
        ({"offsets": np.int64(3)}, "`offsets` must be one-dimensional integers"),
        ({"offsets": OFFSETS[:0]}, "`offsets` lists no image"),
        ({"offsets": OFFSETS[:1]}, "`offsets` lists no image"),
        ({"offsets": OFFSETS[:-1]}, f"`offsets` goes from 0 to {OFFSETS[-2]}, but must go .* {END}"),
        ({"offsets": OFFSETS[1:]}, "`offsets` goes from [1-9]"),
        ({"offsets": np.add(OFFSETS, [0, 0, 0, 0, 9])}, f"`offsets` goes from 0 to {END + 9}, but must go .* {END}"),
        ({"offsets": np.subtract(OFFSETS, [0, 0, 0, END, 0])}, "`offsets` decreases from .* at index 3"),
        ({"offsets": np.uint64([0, 9**19, OFFSETS[2], OFFSETS[3], END])}, "`offsets` decreases from .* at index 2"),
        ({"offsets": None}, "has no group 'train' with `jpeg` and `offsets`"),
        ({"jpeg": None}, "has no group 'train' with `jpeg` and `offsets`"),
        ({"jpeg": np.zeros(END, np.int16)}, "`jpeg` must be one-dimensional uint8"),
        ({"jpeg": np.zeros((END, 1), np.uint8)}, "`jpeg` must be one-dimensional uint8"),
        ({"labels": [0, 1, 0]}, "`labels` must be a string or integer for each of the 4 images"),
        ({"labels": [0.0, 1, 0, 1]}, "`labels` must be a string or integer"),
        ({"labels": np.eye(4, dtype=int)}, "`labels` must be a string or integer"),
        (
            {"labels": [0, 1, 2, 0], "classes": ["a", "b"]},
            "`labels` are 0 to 2, but with 2 `classes` they must be 0 to 1",
        ),
        ({"labels": [0, 1, -1, 0], "classes": ["a", "b"]}, "`labels` are -1 to 1, but with 2 `classes`"),
        ({"labels": [0, 1, 1, 0], "classes": "cat dog"}, "attribute `classes` must be a list of names"),
        ({"names": ["a"] * 5}, "`names` must be a string or integer for each of the 4 images"),
        ({"groups": ["a"] * 3}, "`groups` must be a string or integer for each of the 4 images"),
        ({"groups": [[1], [2], [3], [4]]}, "`groups` must be a string or integer for each of the 4 images"),
    ],
)
def test_an_invalid_packed_file_is_a_one_line_error(tmp_path, columns, reason):
    pack(tmp_path / "x.h5", **columns)
    with pytest.raises(UserError, match=reason) as error:
        PackedHdf5(tmp_path / "x.h5", "train")
    assert "x.h5" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_path_to_another_file_is_a_user_error(tmp_path):
    (tmp_path / "x.h5").write_text("no HDF5")
    with pytest.raises(UserError, match="no group 'train'"):
        PackedHdf5(tmp_path / "x.h5", "train")
    with pytest.raises(UserError, match="no group 'train/jpeg'"):
        PackedHdf5(pack(tmp_path / "y.h5"), "train/jpeg")


@pytest.mark.parametrize(
    ("classes", "labels", "expected"),
    [
        (None, [3, 0, 3, 1], ["3", "0", "3", "1"]),
        (["cat", "dog"], np.uint8([1, 0, 1, 1]), ["dog", "cat", "dog", "dog"]),
        (np.array(["cat", "dog"], "S"), [1, 0, 1, 1], ["dog", "cat", "dog", "dog"]),
        (["cat", "dog"], [True, False, True, True], ["dog", "cat", "dog", "dog"]),
        (None, ["cat", "", "dog", "cat"], ["cat", "", "dog", "cat"]),
        (["unused"], np.array(["cat", "", "dog", "cat"], "S"), ["cat", "", "dog", "cat"]),
    ],
)
def test_labels_are_indices_into_classes_or_strings(tmp_path, classes, labels, expected):
    assert PackedHdf5(pack(tmp_path / "x.h5", classes, labels=labels), "train").labels == expected


@pytest.mark.parametrize("names", [["cat", "cat", "dog", "dog"], ["0.png"] * 4, ["1:a", "a", "a", "b"], None])
def test_images_with_equal_names_keep_their_own_labels_and_groups(tmp_path, names):
    """With two shards and an image that cannot be decoded."""
    images = [IMAGES[0], b"no image", IMAGES[2], IMAGES[3]]
    file = pack(tmp_path / "x.h5", ["cat", "dog"], images=images, names=names, labels=[0, 0, 1, 0], groups=[7, 7, 8, 9])
    pack(file, group="test", names=names, labels=[0, 1, 1, 0], groups=[1, 2, 3, 4])
    dataset = {"kind": "hdf5", "path": str(file), "max_failed_fraction": 0.5}
    outcomes = import_units(tmp_path, dataset)
    assert [outcome["failed"] for outcome in outcomes] == [1, 0]
    settings = Hdf5Dataset.model_validate(dataset)
    dataset_tables.write_labels(tmp_path / "labels.tsv", settings, list_units(settings, None))
    rows = [tuple(row.values()) for row in read_table(tmp_path / "labels.tsv")]
    assert rows == [
        ("train-0000", "0", "cat", "7"), ("train-0000", "1", "dog", "8"), ("train-0000", "2", "cat", "9"),
        ("test-0000", "0", "cat", "1"), ("test-0000", "1", "dog", "2"),
        ("test-0000", "2", "dog", "3"), ("test-0000", "3", "cat", "4"),
    ]  # fmt: skip


def test_unique_names_are_the_keys(tmp_path):
    assert PackedHdf5(pack(tmp_path / "x.h5", names=["b", "a", "d", "c"]), "train").keys == ["b", "a", "d", "c"]


def test_a_group_in_both_splits_is_refused(tmp_path):
    file = pack(tmp_path / "x.h5", groups=["p1", "p2", "", ""])
    pack(file, group="test", groups=["p3", "", "p2", ""])
    for split in ("train", "test"):
        with pytest.raises(UserError, match="group 'p2' of `groups` is also in the other split"):
            open_source(Hdf5Dataset(kind="hdf5", path=str(file)), split)


def test_a_store_with_images_no_longer_in_the_file_is_an_error(tmp_path):
    file = pack(tmp_path / "x.h5", names=list("abcd"), labels=[0, 1, 0, 1])
    dataset = {"kind": "hdf5", "path": str(file), "splits": {"train": "train"}}
    import_units(tmp_path, dataset, units=["train-0000"])
    file.unlink()
    pack(file, names=list("abce"), labels=[0, 1, 0, 1])
    settings = Hdf5Dataset.model_validate(dataset)
    with pytest.raises(UserError, match=r"train-0000\.h5: its image 'd' is no longer .*--forcerun import_images"):
        dataset_tables.write_labels(tmp_path / "labels.tsv", settings, list_units(settings, None))


def test_an_image_that_hdf5_cannot_read_fails_alone(tmp_path):
    path = tmp_path / "x.h5"
    pack(path, jpeg=None)
    joined = np.frombuffer(b"".join(IMAGES), np.uint8)
    with h5py.File(path, "a") as file:
        data = file["train"].create_dataset("jpeg", data=joined, chunks=(int(OFFSETS[1]),), fletcher32=True)
        at = data.id.get_chunk_info(1).byte_offset
    with open(path, "r+b") as stream:
        stream.seek(at)
        stream.write(b"damage")
    source = PackedHdf5(path, "train")
    assert source.read(0) == IMAGES[0]
    with pytest.raises(ValueError, match="HDF5 cannot read it"):
        source.read(1)


@pytest.mark.skipif(not REAL.exists(), reason="no real images here: set GENSIS_DATA to their folder")
def test_the_groups_of_a_real_file_are_read():
    source = open_source(Hdf5Dataset(kind="hdf5", path=str(REAL)), "test")
    assert len(source.keys) == len(set(source.keys)) == 2363
    assert len(set(source.groups)) == 296
