"""Natural images from each kind of source into the store, through the scripts' own functions."""

import json
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from tests.warm_python import warm_python

from gensis.artifacts.files import read_json
from gensis.artifacts.tables import read_table
from gensis.errors import UserError
from gensis.images import tables
from gensis.images.codec import decode, encode_jpeg, encode_png
from gensis.images.importing import Imported
from gensis.images.sources import Folder, PackedHdf5, open_source, selection
from gensis.images.store import Store
from gensis.settings.datasets import FolderDataset, Hdf5Dataset
from gensis.settings.units import list_units

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"


def picture(seed, height=12, width=12):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def tree(tmp_path):
    """A folder tree of two splits and two classes, 3 + 2 images, one of which is text."""
    for number, name in enumerate(
        ["train/cat/a.png", "train/cat/b.png", "train/dog/a.png", "test/cat/c.png", "test/dog/d.png"]
    ):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(picture(number)))
    (tmp_path / "photos/train/dog/broken.jpg").write_text("not a picture")
    (tmp_path / "photos/train/dog/notes.txt").write_text("not an image file")
    return tmp_path / "photos"


def import_units(folder: Path, dataset: dict, sheet: Path | None = None) -> list[dict]:
    units = ["train-0000", "test-0000"]
    for unit in units:
        command = [warm_python(), str(SCRIPTS / "import_images.py"), "--config", json.dumps(dataset), "--unit", unit]
        command += ["--store", str(folder / f"{unit}.h5"), "--outcome", str(folder / f"{unit}.json")]
        subprocess.run(command + (["--sheet", str(sheet)] if sheet else []), check=True, capture_output=True)
    return [read_json(folder / f"{unit}.json") for unit in units]


def test_a_folder_tree_is_imported_with_its_classes_as_labels_and_broken_files_are_counted(tree, tmp_path):
    dataset = {"kind": "folder", "path": str(tree), "max_failed_fraction": 0.5}
    train, test = import_units(tmp_path, dataset)
    assert (train["outcome"], train["images"], train["failed"]) == ("partial", 3, 1)
    assert "dog/broken.jpg" in train["reason"]
    assert (test["outcome"], test["images"], test["reason"]) == ("ok", 2, "")
    with Store(tmp_path / "train-0000.h5") as store:
        assert store.column("key").tolist() == ["cat/a.png", "cat/b.png", "dog/a.png"]
        assert store.read(1, 2) == [encode_png(picture(1))]  # the file's own bytes
    settings = FolderDataset.model_validate(dataset)
    tables.write_labels(tmp_path / "labels.tsv", settings, list_units(settings, None))
    rows = [(row["unit"], row["row"], row["label"]) for row in read_table(tmp_path / "labels.tsv")]
    assert rows == [
        ("train-0000", "0", "cat"), ("train-0000", "1", "cat"), ("train-0000", "2", "dog"),
        ("test-0000", "0", "cat"), ("test-0000", "1", "dog"),
    ]  # fmt: skip


def test_a_sheet_of_files_is_imported_with_labels_and_groups_of_its_own(tree, tmp_path):
    sheet = tmp_path / "files.csv"
    lines = ["train/cat/a.png,cat,p1,train", "train/dog/a.png,dog,p2,train", "test/cat/c.png,cat,p3,test"]
    sheet.write_text("\n".join(["path,label,patient,split", *(f"photos/{line}" for line in lines)]) + "\n")
    dataset = {"kind": "files", "sheet": str(sheet), "columns": {"group": "patient"}}
    train, test = import_units(tmp_path, dataset, sheet)
    assert (train["images"], test["images"]) == (2, 1)
    command = [warm_python(), str(SCRIPTS / "index_images.py"), "--config", json.dumps(dataset), "--sheet", str(sheet)]
    subprocess.run([*command, "--output", str(tmp_path / "labels.tsv")], check=True)
    rows = read_table(tmp_path / "labels.tsv")
    assert [(row["label"], row["group"]) for row in rows] == [("cat", "p1"), ("dog", "p2"), ("cat", "p3")]


def test_a_packed_file_is_read_by_split_with_class_names(tmp_path):
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file.attrs["classes"] = ["plane", "car"]
        for split, count in (("train", 4), ("val", 2)):
            images = [encode_jpeg(picture(number), 90) for number in range(count)]
            group = file.create_group(split)
            group["jpeg"] = np.frombuffer(b"".join(images), np.uint8)
            group["offsets"] = np.cumsum([0, *map(len, images)])
            group["labels"] = np.arange(count) % 2
    source = PackedHdf5(tmp_path / "images.h5", "train")
    assert source.labels == ["plane", "car", "plane", "car"]
    assert source.read(2) == encode_jpeg(picture(2), 90)
    settings = Hdf5Dataset(kind="hdf5", path=str(tmp_path / "images.h5"), splits={"train": "train", "test": "val"})
    assert len(open_source(settings, "test").keys) == 2
    with pytest.raises(UserError, match="no group 'absent'"):
        PackedHdf5(tmp_path / "images.h5", "absent")


def test_a_fixed_random_part_is_taken_and_shards_divide_it(tmp_path):
    chosen = selection(1000, 100)
    assert len(set(chosen.tolist())) == 100
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(chosen, selection(1000, 100))
    np.testing.assert_array_equal(selection(5, None), np.arange(5))
    np.testing.assert_array_equal(selection(5, 9), np.arange(5))


def test_resizing_cuts_the_central_square_of_the_shorter_side(tree):
    image = picture(5, 20, 40)
    path = tree / "train/cat/wide.png"
    path.write_bytes(encode_png(image))
    dataset = FolderDataset(kind="folder", path=str(tree), image_px=10)
    source = Folder(tree / "train")
    stored = next(Imported().images(source, np.array([source.keys.index("cat/wide.png")]), dataset))
    resized = np.asarray(Image.fromarray(image).resize((20, 10), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(decode(stored).astype(int), resized[:, 5:15].astype(int), atol=1)


def test_images_of_two_sizes_need_image_px(tree):
    (tree / "train/cat/z.png").write_bytes(encode_png(picture(9, 13, 12)))
    source = Folder(tree / "train")
    with pytest.raises(UserError, match=r"z.png is 12x13 px, others are 12x12.*image_px"):
        list(Imported().images(source, np.arange(3), FolderDataset(kind="folder", path=str(tree))))


def test_too_many_broken_images_stop_the_import_with_one_line(tree, tmp_path):
    dataset = json.dumps({"kind": "folder", "path": str(tree)})
    command = [warm_python(), str(SCRIPTS / "import_images.py"), "--config", dataset, "--unit", "train-0000"]
    command += ["--store", str(tmp_path / "x.h5"), "--outcome", str(tmp_path / "x.json")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert "error: 1 of 4 images of train-0000 do not decode, first dog/broken.jpg" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "x.h5").exists()


def test_an_empty_folder_and_a_missing_one_are_said(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no images.*splits: {train: \.}"):
        Folder(tmp_path / "empty")
    with pytest.raises(UserError, match="does not exist"):
        list_units(FolderDataset(kind="folder", path=str(tmp_path / "absent")), None)
