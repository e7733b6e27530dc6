import json
import os

import pytest

from gensis.artifacts.files import content_id, written_atomically
from gensis.artifacts.folders import damage, move_folder, publish_folder, refuse_damaged, write_provenance
from gensis.errors import UserError


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


def test_temporary_files_are_neither_listed_nor_published(folder, tmp_path):
    with written_atomically(folder / "part/weights") as temporary:
        temporary.write_text("new")
        write_provenance(folder, {})
        publish_folder(folder, tmp_path / "target")
    assert set(json.loads((folder / "provenance.json").read_text())["files"]) == {"part/weights", "zzz"}
    assert len([path for path in (tmp_path / "target").rglob("*") if path.is_file()]) == 3


def test_a_folder_is_moved_after_all_that_is_in_it_was_synced(folder, tmp_path, monkeypatch):
    synced, sync, target = [], os.fsync, tmp_path / "target"

    def spy(descriptor):
        sync(descriptor)
        synced.append((os.fstat(descriptor).st_ino, target.exists()))

    inodes = {path.stat().st_ino for path in (folder, *folder.rglob("*"))}
    monkeypatch.setattr(os, "fsync", spy)
    move_folder(folder, target)
    assert {inode for inode, is_moved in synced if not is_moved} == inodes
    assert list(damage(target)) == []


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


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("change", [flip, lambda path: os.truncate(path, 3)])
def test_a_damaged_folder_is_refused_and_one_without_provenance_used_as_it_is(folder, change):
    refuse_damaged(folder)
    weights, record = folder / "part/weights", folder / "provenance.json"
    change(weights)
    with pytest.raises(UserError, match=rf"^{weights} is damaged: delete {record} and run again"):
        refuse_damaged(folder)
    record.unlink()
    refuse_damaged(folder)


def test_a_copy_of_some_files_of_a_folder_is_used(folder):
    (folder / "part/weights").unlink()
    refuse_damaged(folder)


def test_a_file_that_cannot_be_read_now_is_not_called_damaged(folder):
    weights = folder / "part/weights"
    weights.unlink()
    weights.mkdir()
    with pytest.raises(IsADirectoryError):
        refuse_damaged(folder)
