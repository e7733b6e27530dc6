"""Copies of an image on both sides of a split are refused, whatever their names."""

from pathlib import Path

import numpy as np
import pytest

from gensis.errors import UserError
from gensis.images.copies import refuse_copied_files, refuse_copied_units
from gensis.settings.sheet import Row
from gensis.settings.units import Unit

LARGE = np.random.default_rng(0).integers(0, 256, 3 << 20, np.uint8).tobytes()
OTHER_WITHIN = LARGE[: 1 << 20] + bytes(1 << 20) + LARGE[2 << 20 :]
"""Same size, beginning and end as LARGE."""


def rows(folder: Path, files: dict[str, tuple[str, bytes]]) -> list[Row]:
    for name, (_, content) in files.items():
        (folder / name).write_bytes(content)
    return [Row(name=name, path=str(folder / name), split=split) for name, (split, _) in files.items()]


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["small", "large"])
def test_a_copy_of_a_training_file_in_test_is_a_one_line_error(tmp_path, content):
    listed = rows(tmp_path, {"b.png": ("test", content), "x.png": ("train", b"other"), "a.png": ("train", content)})
    with pytest.raises(UserError, match=r"'a\.png' \(train\) and 'b\.png' \(test\) are copies: keep only one"):
        refuse_copied_files(tmp_path / "sheet.csv", listed)


@pytest.mark.parametrize(
    "files",
    [
        {"a": ("train", b"one"), "b": ("test", b"two")},
        {"a": ("train", b"one"), "b": ("train", b"one"), "c": ("test", b"two")},
        {"a": ("", b"one"), "b": ("", b"one")},
        {"a": ("train", LARGE), "b": ("test", OTHER_WITHIN)},
    ],
)
def test_different_files_and_copies_within_a_split_are_accepted(tmp_path, files):
    refuse_copied_files(tmp_path / "sheet.csv", rows(tmp_path, files))


def test_a_file_that_no_longer_exists_is_not_a_copy(tmp_path):
    listed = rows(tmp_path, {"a": ("train", b"one"), "b": ("test", b"one")})
    (tmp_path / "b").unlink()
    refuse_copied_files(tmp_path / "sheet.csv", listed)


def test_files_without_a_readable_image_are_no_copies(tmp_path):
    refuse_copied_files(tmp_path / "sheet.csv", rows(tmp_path, {"a": ("train", b""), "b": ("test", b"")}))
    listed = rows(tmp_path, {"c": ("train", b"one"), "d": ("test", b"one")})
    (tmp_path / "d").unlink()
    (tmp_path / "d").symlink_to("d")  # cannot be opened
    refuse_copied_files(tmp_path / "sheet.csv", listed)


def test_shards_of_train_and_test_with_the_same_images_are_refused(tmp_path):
    units = [Unit("train-0000", "train"), Unit("train-0001", "train"), Unit("test-0000", "test")]
    refuse_copied_units(tmp_path, units, {"train-0000": "x", "train-0001": "x", "test-0000": "y"})
    with pytest.raises(UserError, match="'train-0001' and 'test-0000' contain the same images"):
        refuse_copied_units(tmp_path, units, {"train-0000": "y", "train-0001": "x", "test-0000": "x"})
