import json

import pytest

from gensis.artifacts.files import content_id
from gensis.artifacts.folders import damage, publish_folder, write_provenance


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "source/part").mkdir(parents=True)
    for name in ("zzz", "part/weights"):
        (tmp_path / "source" / name).write_text(name)
    write_provenance(tmp_path / "source", {"seed": 3})
    return tmp_path / "source"


def test_the_provenance_lists_every_other_file_with_its_content_id(folder):
    record = json.loads((folder / "provenance.json").read_text())
    assert record["seed"] == 3
    assert record["files"] == {name: content_id(folder / name) for name in ("part/weights", "zzz")}
    write_provenance(folder, record)  # again
    assert json.loads((folder / "provenance.json").read_text()) == record


def test_publishing_copies_all_files_and_replaces_old_ones(folder, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    (target / "zzz").write_text("old")
    publish_folder(folder, target)
    assert list(damage(target)) == []
    assert (target / "zzz").read_text() == "zzz"
    with open(target / "part/weights", "r+") as stream:
        stream.write("W")
    assert list(damage(folder)) == []


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("zzz", lambda path: path.write_text("zzy"), "damaged"),
        ("part/weights", lambda path: path.unlink(), "No such file"),
        ("part/weights", lambda path: path.write_text(""), "damaged"),
        ("provenance.json", lambda path: path.write_text(path.read_text().replace("3", "4", 1)), "damaged"),
        ("provenance.json", lambda path: path.write_text(path.read_text()[:40]), "cannot be read"),
        ("provenance.json", lambda path: path.write_text("[]"), "cannot be read"),
        ("provenance.json", lambda path: path.write_bytes(b"\xff"), "cannot be read"),
        ("provenance.json", lambda path: path.unlink(), "cannot be read"),
    ],
)
def test_a_damaged_file_is_listed_once(folder, name, change, words):
    change(folder / name)
    ((path, reason),) = damage(folder)
    assert path == folder / name
    assert words in reason
