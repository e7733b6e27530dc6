import json

import h5py
import numpy as np
import pytest

from gensis.artifacts.checksums import of_hdf5, of_json, seal
from gensis.artifacts.files import read_json, write_json


def test_a_json_file_carries_the_checksum_of_its_values_in_any_order(tmp_path):
    values = {"b": 0.1, "a": [1, None, float("nan")], "c": {2: "ü", 10: True}}
    write_json(tmp_path / "one.json", values)
    write_json(tmp_path / "two.json", dict(reversed(values.items())))
    one, two = (read_json(tmp_path / f"{name}.json") for name in ("one", "two"))
    assert one["checksum"] == two["checksum"] == of_json(one)
    assert of_json(one | {"b": 0.2}) != one["checksum"]
    write_json(tmp_path / "again.json", one)
    assert read_json(tmp_path / "again.json")["checksum"] == one["checksum"]


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["numbers"] = np.arange(12, dtype=np.float32).reshape(4, 3)
        file["none"] = np.empty((0, 3), np.int64)
        file["group/flags"] = np.array([True, False])
        file.create_dataset("group/text", data=np.array(["a", "ü"], object), dtype=h5py.string_dtype())
        file["group"].attrs["classes"] = "[]"
        file["numbers"].attrs["side"] = np.int32(4)
        file["elsewhere"] = h5py.ExternalLink("absent.h5", "numbers")
        file.attrs["interval"] = (0.0, 0.5)
        seal(file)
    return tmp_path / "file.h5"


def test_an_hdf5_file_carries_the_checksum_of_its_whole_content(path):
    with h5py.File(path) as file:
        assert file.attrs["checksum"] == of_hdf5(file)


def replace(name, value):
    def change(file):
        del file[name]
        file[name] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file["numbers"].__setitem__((3, 2), 0),
        lambda file: file["group/flags"].__setitem__(1, True),
        lambda file: file["group/text"].__setitem__(1, "u"),
        lambda file: file["numbers"].attrs.__setitem__("side", 5),
        lambda file: file["group"].attrs.__setitem__("classes", "[1]"),
        lambda file: file.attrs.__setitem__("interval", (0.0, 0.6)),
        lambda file: file.__delitem__("none"),
        replace("numbers", np.arange(12, dtype=np.float32).reshape(3, 4)),
        replace("group/text", "a"),
    ],
)
def test_any_change_of_the_file_changes_its_checksum(path, change):
    with h5py.File(path, "r+") as file:
        change(file)
        assert file.attrs["checksum"] != of_hdf5(file)


def test_the_checksum_does_not_depend_on_the_block_size(path, monkeypatch):
    with h5py.File(path) as file:
        whole = of_hdf5(file)
        monkeypatch.setattr("gensis.artifacts.checksums._BLOCK_BYTES", 12)
        assert of_hdf5(file) == whole
    assert json.dumps(whole)
