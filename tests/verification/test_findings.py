from gensis.artifacts.files import read_json
from gensis.verification.findings import Findings


def test_a_file_is_listed_once_with_all_that_is_wrong_and_each_reason_once(tmp_path):
    findings = Findings()
    for path, reason in [("a", "cut"), ("b", "old"), ("a", "old"), ("a", "cut")]:
        findings.add(tmp_path / path, reason)
    assert findings.lines() == [f"{tmp_path}/a: cut; old", f"{tmp_path}/b: old"]
    assert tmp_path / "a" in findings
    assert tmp_path / "c" not in findings


def test_of_many_reasons_the_first_are_given(tmp_path):
    findings = Findings()
    for number in range(5):
        findings.add(tmp_path, f"row {number}")
    assert findings.lines() == [f"{tmp_path}: row 0; row 1; row 2; and 2 more"]


def test_whatever_reading_raises_is_a_line_of_that_file(tmp_path):
    findings, (broken, absent, user) = Findings(), (tmp_path / name for name in ("broken", "absent", "user"))
    broken.write_bytes(b"\xff")
    for path in (broken, absent):
        with findings.reading(path):
            read_json(path)
    with findings.reading(user):
        read_json(absent)
    with findings.reading(tmp_path / "memory"):
        raise MemoryError
    found = dict(line.removeprefix(f"{tmp_path}/").split(": ", 1) for line in findings.lines())
    assert found["broken"].startswith("cannot be read ('utf-8' codec can't decode byte 0xff")
    assert found["absent"] == "missing"
    assert found["user"] == f"needs {absent}, which is missing"
    assert found["memory"] == "cannot be read (MemoryError)"
