from gensis.artifacts.files import read_json
from gensis.verification.findings import Findings


def test_each_file_and_each_of_its_problems_is_listed_once(tmp_path):
    findings = Findings()
    for path, reason in [("a", "cut"), ("b", "old"), ("a", "old"), ("a", "cut")]:
        findings.add(tmp_path / path, reason)
    assert findings.lines() == [f"{tmp_path}/a: cut; old", f"{tmp_path}/b: old"]
    assert tmp_path / "a" in findings
    assert tmp_path / "c" not in findings


def test_only_the_first_of_many_problems_are_listed(tmp_path):
    findings = Findings()
    for number in range(5):
        findings.add(tmp_path, f"row {number}")
    assert findings.lines() == [f"{tmp_path}: row 0; row 1; row 2; and 2 more"]


def test_any_error_while_reading_is_a_problem_of_that_file(tmp_path):
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
