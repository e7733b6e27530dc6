"""Import of natural images from each kind of source, through the scripts' main functions."""

import json
import os
import subprocess
import time
import tracemalloc
from argparse import Namespace
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from tests.warm_python import warm_python

import import_images
from gensis.artifacts.files import read_json
from gensis.artifacts.tables import read_table
from gensis.errors import UserError
from gensis.images import dataset_tables
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


def import_units(
    folder: Path, dataset: dict, sheet: Path | None = None, units: Sequence[str] = ("train-0000", "test-0000")
) -> list[dict]:
    for unit in units:
        places = {"store": folder / f"{unit}.h5", "outcome": folder / f"{unit}.json"}
        import_images.main(Namespace(config=dataset, unit=unit, sheet=sheet, started=time.time(), **places))
    return [read_json(folder / f"{unit}.json") for unit in units]


def test_a_folder_tree_gives_labels_and_broken_files_are_counted(tree, tmp_path):
    dataset = {"kind": "folder", "path": str(tree), "max_failed_fraction": 0.5}
    train, test = import_units(tmp_path, dataset)
    assert (train["outcome"], train["images"], train["failed"]) == ("partial", 3, 1)
    assert "dog/broken.jpg" in train["reason"]
    assert (test["outcome"], test["images"], test["reason"]) == ("ok", 2, "")
    with Store(tmp_path / "train-0000.h5") as store:
        assert store.column("key").tolist() == ["cat/a.png", "cat/b.png", "dog/a.png"]
        assert store.read(1, 2) == [encode_png(picture(1))]  # the file's own bytes
    settings = FolderDataset.model_validate(dataset)
    dataset_tables.write_labels(tmp_path / "labels.tsv", settings, list_units(settings, None))
    rows = [(row["unit"], row["row"], row["label"]) for row in read_table(tmp_path / "labels.tsv")]
    assert rows == [
        ("train-0000", "0", "cat"), ("train-0000", "1", "cat"), ("train-0000", "2", "dog"),
        ("test-0000", "0", "cat"), ("test-0000", "1", "dog"),
    ]  # fmt: skip


def test_a_sheet_of_files_is_imported_with_its_labels_and_groups(tree, tmp_path):
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


def tree_with(**choice):
    return FolderDataset(kind="folder", path="tree", **choice)


def test_max_images_selects_a_fixed_random_subset_and_shards_divide_it():
    some, all_of_few = tree_with(max_images={"train": 100}), tree_with(max_images={"train": 9})
    chosen = selection(1000, some, "train")
    assert len(set(chosen.tolist())) == 100
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(chosen, selection(1000, some, "train"))
    for dataset, split in ((all_of_few, "train"), (some, "test")):
        np.testing.assert_array_equal(selection(5, dataset, split), np.arange(5))


def test_image_ranges_divide_a_split_at_random():
    bounds = [0, 30, 31, 100]
    parts = [selection(100, tree_with(image_range={"train": pair}), "train") for pair in pairwise(bounds)]
    assert [len(part) for part in parts] == [30, 1, 69]
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))
    assert parts[0].tolist() != list(range(30))
    with pytest.raises(UserError, match="ends at 100, but there are 99 images"):
        selection(99, tree_with(image_range={"train": (31, 100)}), "train")


def test_resizing_crops_the_central_square(tree):
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


def test_indexing_fails_only_above_max_failed_fraction(tree, tmp_path):
    dataset = {"kind": "folder", "path": str(tree)}
    import_units(tmp_path, dataset)
    command = [warm_python(), str(SCRIPTS / "index_images.py"), "--output", str(tmp_path / "train.tsv"), "--config"]
    result = subprocess.run([*command, json.dumps(dataset)], capture_output=True, text=True)
    assert result.returncode == 1
    said = result.stderr.splitlines()[-1]
    assert said.startswith("error: 1 of 4 images of")
    assert "train-0000 cannot be decoded: dog/broken.jpg (none of JPEG, PNG" in said
    assert not (tmp_path / "train.tsv").exists()
    subprocess.run([*command, json.dumps(dataset | {"max_failed_fraction": 0.25})], check=True)
    assert (tmp_path / "train.tsv").exists()


def test_empty_and_missing_folders_are_user_errors(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no images.*splits: {train: \.}"):
        Folder(tmp_path / "empty")
    with pytest.raises(UserError, match="does not exist"):
        list_units(FolderDataset(kind="folder", path=str(tmp_path / "absent")), None)


PICTURE = encode_png(picture(0))
MAC_COMPANION = bytes.fromhex("0005160700020000") + b"Mac OS X        " + bytes(64)


def keys(root, *files):
    """Keys of a folder with these files: each contains an image, or the given bytes."""
    for file in files:
        name, content = file if isinstance(file, tuple) else (file, PICTURE)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return Folder(root).keys


def test_the_list_of_a_tree_holds_each_path_once(tmp_path):
    for number in range(2000):
        path = tmp_path / f"class-{number // 500}/a-name-of-thirty-letters-{number:04d}.png"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    tracemalloc.start()
    source = Folder(tmp_path)
    held_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert source.keys[0] == "class-0/a-name-of-thirty-letters-0000.png"
    assert source.labels[-1] == "class-3"
    assert held_bytes / 2000 < 160  # a string of 41 characters takes 90


def test_files_left_by_operating_systems_are_ignored(tmp_path, caplog):
    caplog.set_level("INFO")
    found = keys(
        tmp_path / ".cache/photos",  # the data set's own folder may be hidden
        "cat/1.png", ("cat/._1.png", MAC_COMPANION), ("cat/.DS_Store", b""), ("cat/Thumbs.db", b""),
        "cat/.ipynb_checkpoints/1-checkpoint.png", ".ipynb_checkpoints/2.png", "__MACOSX/cat/1.png", "cat/@eaDir/1.jpg",
        "lost+found/1.png", "dog/#recycle/1.png", "dog/1.JPG", ("dog/notes.txt", b""), ("dog/1.heic", b""),
    )  # fmt: skip
    assert found == ["cat/1.png", "dog/1.JPG"]
    assert Folder(tmp_path / ".cache/photos").labels == ["cat", "dog"]
    assert "skipped files: 8 hidden, 1 .db, 1 .heic, 1 .txt" in caplog.text


def test_suffixes_in_any_case_are_read_and_the_content_sets_the_format(tmp_path):
    suffixes = ["JPG", "Jpeg", "jpe", "jfif", "PNG", "TIF", "tiff", "webp", "bmp", "gif", "avif", "jp2", "ppm", "pgm"]
    names = sorted(f"a.{suffix}" for suffix in suffixes)
    assert keys(tmp_path, *names) == names
    dataset = FolderDataset(kind="folder", path=str(tmp_path))
    assert list(Imported().images(Folder(tmp_path), np.arange(len(names)), dataset)) == [PICTURE] * len(names)


def test_images_are_sorted_by_name(tmp_path):
    assert keys(tmp_path, "cat/1.png", "cat-2/1.png", "cat/10.png") == ["cat-2/1.png", "cat/1.png", "cat/10.png"]


def test_the_error_for_a_folder_without_images_lists_its_suffixes(tmp_path):
    with pytest.raises(UserError, match=r"holds no images .*, just 2 \.heic, 1 hidden: correct `path`"):
        keys(tmp_path, "a/1.heic", "a/2.HEIC", ".x.png")


def test_an_image_outside_the_class_folders_has_no_label(tmp_path):
    keys(tmp_path, "cover.png", "cat/1.png")
    assert list(zip(Folder(tmp_path).keys, Folder(tmp_path).labels)) == [("cat/1.png", "cat"), ("cover.png", "")]
    assert keys(tmp_path / "flat", "1.png", "2.png") == ["1.png", "2.png"]
    assert Folder(tmp_path / "flat").labels is None


def test_each_real_folder_is_read_once_and_links_are_followed_last(tmp_path):
    root, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    keys(elsewhere, "1.png", "deep/2.png")
    keys(root, "cat/1.png", "dog/1.png")
    (root / "cat/up").symlink_to("..")
    (root / "cat/self").symlink_to(".")
    (root / "a-link-to-dog").symlink_to("dog")
    (root / "fox").symlink_to(elsewhere)
    (root / "fox-again").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(root)
    assert Folder(root).keys == ["cat/1.png", "dog/1.png", "fox/1.png", "fox/deep/2.png"]
    (tmp_path / "linked").symlink_to(root)
    assert Folder(tmp_path / "linked").keys == Folder(root).keys


def test_unreadable_files_are_counted_and_others_are_imported(tmp_path):
    keys(tmp_path, "good.png", ("empty.png", b""))
    (tmp_path / "gone.png").symlink_to("/absent/gone.png")
    (tmp_path / "itself.png").symlink_to("itself.png")
    (tmp_path / "class-on-a-disk-that-is-gone").symlink_to("/absent/folder")
    os.mkfifo(tmp_path / "pipe.png")
    with open(tmp_path / "vast.png", "wb") as file:
        file.truncate(10**9)  # sparse
    imported, source = Imported(), Folder(tmp_path)
    dataset = FolderDataset(kind="folder", path=str(tmp_path))
    assert list(imported.images(source, np.arange(len(source.keys)), dataset)) == [PICTURE]
    assert imported.failed == [
        "class-on-a-disk-that-is-gone (No such file or directory)",
        "empty.png (it is empty)",
        "gone.png (No such file or directory)",
        "itself.png (Too many levels of symbolic links)",
        "pipe.png (it is not a regular file)",
        "vast.png (1,000,000,000 bytes, more than the limit of 800,000,000 bytes: make it smaller, or tile it with "
        "`kind: slides`)",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_without_permission_are_counted_and_folders_are_an_error(tmp_path):
    keys(tmp_path, "cat/1.png", "dog/1.png")
    (tmp_path / "cat/1.png").chmod(0)
    with pytest.raises(ValueError, match="Permission denied"):
        Folder(tmp_path).read(0)
    (tmp_path / "dog").chmod(0)
    with pytest.raises(UserError, match=r"folder .*dog may not be read"):
        Folder(tmp_path)


def test_bytes_of_a_name_that_are_not_utf8_are_escaped(tmp_path):
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(PICTURE)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    (outcome,) = import_units(
        tmp_path / "out", {"kind": "folder", "path": str(tmp_path), "splits": {"train": "."}}, units=["train-0000"]
    )
    assert outcome["images"] == 1
    with Store(tmp_path / "out/train-0000.h5") as store:
        assert store.column("key").tolist() == [r"caf\xe9.png"]


def test_unreadable_files_in_a_sheet_are_counted_as_failed(tmp_path):
    (tmp_path / "a.png").write_bytes(PICTURE)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "cut.png").write_bytes(PICTURE[:99])
    sheet = tmp_path / "files.csv"
    sheet.write_text("path\na.png\nfolder.png\ncut.png\n")
    dataset = {"kind": "files", "sheet": str(sheet), "max_failed_fraction": 0.9}
    (outcome,) = import_units(tmp_path, dataset, sheet, ["train-0000"])
    assert (outcome["images"], outcome["failed"]) == (1, 2)
    assert outcome["reason"].startswith(
        "cannot be decoded: folder.png (it is not a regular file), cut.png (not an image: "
    )
