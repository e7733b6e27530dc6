"""No image file is in both training and test data, even under different names."""

import os
from pathlib import Path

import pytest

from gensis.errors import UserError
from gensis.settings.datasets import FilesDataset, FolderDataset, Hdf5Dataset, SlidesDataset, TorchvisionDataset
from gensis.settings.same_files import images_of, in_common
from gensis.settings.study import load_study
from gensis.settings.units import list_units, refuse_transfer_of_the_same_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two slides, one of them under three names, and a folder tree of images."""
    for name in ("a.tiff", "b.tiff", "photos/train/cat.png", "photos/test/dog.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    os.link(tmp_path / "a.tiff", tmp_path / "hard.tiff")
    (tmp_path / "soft.tiff").symlink_to("a.tiff")
    return tmp_path


def listed(folder: Path, kind: str, *lines: str) -> None:
    sheet = folder / "sheet.csv"
    columns = "slide,path,group,split" if kind == "slides" else "path,group,split"
    sheet.write_text("\n".join([columns, *lines]) + "\n")
    dataset = SlidesDataset if kind == "slides" else FilesDataset
    list_units(dataset(kind=kind, sheet=str(sheet)), sheet)


@pytest.mark.parametrize(
    ("kind", "first", "second", "path"),
    [
        (*lines, path)
        for lines in [
            ("slides", "x,a.tiff,,train", "y,{},,test"),
            ("slides", "x,a.tiff,,", "y,{},,"),
            ("slides", "x,a.tiff,p1,", "y,{},p2,"),
            ("files", "photos/../a.tiff,,train", "{},,test"),
        ]
        for path in ["a.tiff", "./a.tiff", "hard.tiff", "soft.tiff"]
    ],
)
def test_a_file_in_train_and_test_is_refused_in_one_line(folder, kind, first, second, path):
    with pytest.raises(UserError, match=r"are the same file, .*\.tiff, (in the splits|not in one group)") as error:
        listed(folder, kind, first, second.format(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "lines",
    [
        ("x,a.tiff,,train", "y,b.tiff,,test"),
        ("x,a.tiff,,train", "y,soft.tiff,,train"),  # only in train: it counts twice, but does not leak
        ("x,a.tiff,p1,", "y,soft.tiff,p1,"),  # two parts of one slide, by two masks
    ],
)
def test_a_file_may_have_two_lines_in_one_split_or_group(folder, lines):
    listed(folder, "slides", *lines)


@pytest.mark.parametrize("splits", [{"train": ".", "test": "test"}, {"train": "test/..", "test": "test"}])
def test_a_split_folder_that_contains_another_is_refused(folder, splits):
    with pytest.raises(UserError, match=r"splits of .*photos: train .* and test \(test\) share images"):
        list_units(FolderDataset(kind="folder", path=str(folder / "photos"), splits=splits), None)


def test_separate_folders_and_groups_are_accepted(folder):
    list_units(FolderDataset(kind="folder", path=str(folder / "photos")), None)
    (folder / "photos/test-too").symlink_to("test")
    linked = {"train": "test-too", "test": "test"}
    with pytest.raises(UserError, match="share images"):
        list_units(FolderDataset(kind="folder", path=str(folder / "photos"), splits=linked), None)
    list_units(Hdf5Dataset(kind="hdf5", path=str(folder / "a.tiff"), splits={"train": "a", "test": "ab"}), None)


def test_one_hdf5_group_for_both_splits_is_refused(folder):
    dataset = Hdf5Dataset(kind="hdf5", path=str(folder / "a.tiff"), splits={"train": "images", "test": "/images/"})
    with pytest.raises(UserError, match=r"train \(images\) and test \(/images/\) share images"):
        list_units(dataset, None)


def test_shared_images_of_two_data_sets_are_found_by_files_and_folders(folder):
    def sheet(name: str, line: str) -> frozenset:
        path = folder / name
        path.write_text(f"slide,path,split\n{line}\nother,b.tiff,train\n")
        dataset = SlidesDataset(kind="slides", sheet=str(path))
        return images_of(dataset, list_units(dataset, path).rows, "test")

    assert in_common(sheet("one.csv", "x,a.tiff,test"), sheet("two.csv", "y,soft.tiff,test"))
    assert not in_common(sheet("one.csv", "x,a.tiff,test"), sheet("two.csv", "y,b.tiff,train\nz,b.tiff,train"))
    tree = FolderDataset(kind="folder", path=str(folder / "photos"), splits={"train": "."})
    inner = FolderDataset(kind="folder", path=str(folder / "photos"))
    assert in_common(images_of(tree, (), "train"), images_of(inner, (), "test"))
    assert not in_common(images_of(inner, (), "train"), images_of(inner, (), "test"))
    cifar = TorchvisionDataset(kind="torchvision", name="CIFAR10", image_px=16)
    larger = TorchvisionDataset(kind="torchvision", name="CIFAR10")
    assert in_common(images_of(cifar, (), "train"), images_of(larger, (), "train"))
    assert not in_common(images_of(cifar, (), "train"), images_of(larger, (), "test"))


def test_ranges_of_one_group_that_do_not_overlap_share_no_images(folder):
    def ranged(**image_range):
        splits = dict.fromkeys(image_range, "train")
        return Hdf5Dataset(kind="hdf5", path=str(folder / "a.tiff"), splits=splits, image_range=image_range)

    list_units(ranged(train=(0, 30), test=(30, 40)), None)
    with pytest.raises(UserError, match="share images"):
        list_units(ranged(train=(0, 30), test=(29, 40)), None)
    everything = Hdf5Dataset(kind="hdf5", path=str(folder / "a.tiff"))
    one, two, all_of_it = (
        images_of(each, (), "train") for each in (ranged(train=(0, 9)), ranged(train=(9, 10)), everything)
    )
    assert not in_common(one, two)
    assert in_common(one, all_of_it)
    assert in_common(all_of_it, two)


@pytest.mark.parametrize(("split", "label", "is_refused"), [("", "a", True), ("split", "a", False), ("", "", False)])
def test_a_transfer_is_not_tested_on_the_slides_that_it_learns_from(folder, split, label, is_refused):
    """Two data sets of one sheet, at two magnifications."""
    lines = [f"slide,path{',split' if split else ''},label"]
    for number, of_split in enumerate(("train", "test")):
        (folder / f"{number}.tiff").touch()
        lines.append(f"s{number},{number}.tiff{',' + of_split if split else ''},{label}")
    (folder / "slides.csv").write_text("\n".join(lines))
    slides = {"kind": "slides", "sheet": str(folder / "slides.csv")}
    evaluation = {"datasets": ["near", "far"], "transfer": [{"fit": "near", "test": ["far"]}]}
    study = load_study(
        {"run": "r", "datasets": {"near": slides, "far": slides | {"mpp": 1.0}}, "evaluation": evaluation}
    )
    units = {name: list_units(study.datasets[name], folder / "slides.csv") for name in ("near", "far")}
    if is_refused:
        with pytest.raises(
            UserError, match=r"classifiers would be tested on images of far that they learnt from in near"
        ):
            refuse_transfer_of_the_same_images(study, units)
    else:
        refuse_transfer_of_the_same_images(study, units)
