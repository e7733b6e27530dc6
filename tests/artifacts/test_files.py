import os

import pytest

from gensis.artifacts.files import content_id, read_json, write_json, written_atomically
from gensis.artifacts.provenance import provenance
from gensis.artifacts.tables import read_table, write_table
from gensis.errors import Damaged


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "folder" / "file"
    with written_atomically(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), written_atomically(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == ["file"]


def test_the_content_id_depends_on_the_bytes_and_the_order_of_files(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    assert content_id(tmp_path / "a", tmp_path / "b") != content_id(tmp_path / "b", tmp_path / "a")


def test_tables_round_trip_any_text(tmp_path):
    write_table(tmp_path / "t.tsv", ("unit", "reason"), [("a", 'a "tab"\tand, a comma'), ("b", "")])
    assert read_table(tmp_path / "t.tsv") == [
        {"unit": "a", "reason": 'a "tab"\tand, a comma'},
        {"unit": "b", "reason": ""},
    ]


def test_provenance_records_settings_inputs_versions_and_commit(tmp_path):
    record = provenance("gensis-x/1", settings={"a": 1}, inputs={"train": "id"}, seed=3, device="cpu", started=0.0)
    assert record["settings"] == {"a": 1}
    assert record["inputs"] == {"train": "id"}
    assert record["packages"]["torch"]
    assert {"gensis", "seed", "device", "seconds", "finished", "python", "commit"} <= set(record)
    write_json(tmp_path / "p.json", record)


@pytest.mark.parametrize(
    "content", [b"", b'{"a": 1', b"\xff\xfe", b"a\tb\n1\t", b"a\tb\n1\t2", b"a\tb\n1\n", b'a\tb\n"1\t2\n']
)
def test_text_that_is_cut_short_is_damage_to_be_moved_away(tmp_path, content):
    path = tmp_path / "text"
    path.write_bytes(content)
    for read in (read_json, read_table):
        with pytest.raises(Damaged, match=rf"^{path} is damaged \([^\n]*\): move it elsewhere and run again$"):
            read(path)
