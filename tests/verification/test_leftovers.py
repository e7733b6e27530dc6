"""Leftovers of a run: which checkpoints and temporary files may be removed."""

import os
import time

import pytest

from gensis.artifacts.folders import publish_folder, write_provenance
from gensis.verification.leftovers import leftovers

LONG_AGO = time.time() - 7200


@pytest.fixture
def run(tmp_path):
    """A run with one training of each kind, a bank's blocks, and temporary files, all of them old."""
    checkpoints = tmp_path / "run/checkpoints"
    for name in ("encoder/finished/published", "encoder/superseded/published", "encoder/unfinished", "bank/blocks"):
        (checkpoints / name).mkdir(parents=True)
        (checkpoints / name / "file").write_bytes(b"0123")
    for seed, name in enumerate(("finished", "superseded")):
        write_provenance(checkpoints / "encoder" / name / "published", {"seed": seed})
    publish_folder(checkpoints / "encoder/finished/published", tmp_path / "run/encoders/dino/seed0")
    for name in ("run/encoders/dino/seed0/.file.0badcafe-9.tmp", "images/.a.h5.0badcafe-9.tmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("half")
    for path in tmp_path.rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    return tmp_path / "run"


def listed(run, checkpoints=None, is_trained=True):
    found = leftovers(run, [run.parent / "images"], checkpoints or run / "checkpoints", is_trained=is_trained)
    return {each.path.relative_to(run.parent).as_posix(): each.why.partition(":")[0] for each in found}


TEMPORARY = {"run/encoders/dino/seed0/.file.0badcafe-9.tmp", "images/.a.h5.0badcafe-9.tmp"}
FINISHED, SUPERSEDED = "run/checkpoints/encoder/finished", "run/checkpoints/encoder/superseded"
UNFINISHED = {"run/checkpoints/encoder/unfinished", "run/checkpoints/bank/blocks"}


def test_a_finished_run_needs_no_checkpoints_and_no_temporary_files(run):
    found = listed(run)
    assert set(found) == {FINISHED, SUPERSEDED} | UNFINISHED | TEMPORARY
    assert found[FINISHED] == "finished"
    assert {found[path] for path in {SUPERSEDED, *UNFINISHED}} == {"superseded"}


def test_a_run_without_all_its_models_may_resume_or_publish_any_training_that_has_no_result(run):
    assert set(listed(run, is_trained=False)) == {FINISHED} | TEMPORARY


def test_of_checkpoints_shared_by_runs_only_copies_of_this_run_are_listed(run):
    shared = run.parent / "shared"
    (run / "checkpoints").rename(shared)
    assert set(listed(run, shared)) == {"shared/encoder/finished"} | TEMPORARY


def test_locked_folders_and_new_temporary_files_are_in_use(run):
    for name in ("unfinished", "superseded", "finished"):
        (run / "checkpoints/encoder" / name / "lock-1.json").write_text("{}")
    (run / ".report.html.0badcafe-1.tmp").write_text("half")
    assert set(listed(run)) == {"run/checkpoints/bank/blocks"} | TEMPORARY


def test_a_clock_that_is_hours_ahead_of_the_file_server_makes_nothing_in_use_old(run, monkeypatch):
    (run / "checkpoints/encoder/unfinished/lock-1.json").write_text("{}")
    late = time.time() + 3 * 3600
    monkeypatch.setattr(time, "time", lambda: late)
    assert "run/checkpoints/encoder/unfinished" not in listed(run)


def test_the_size_of_a_folder_is_that_of_all_its_files(run):
    sizes = {each.path.name: each.size_bytes for each in leftovers(run, [], run / "checkpoints", is_trained=True)}
    record = run / "checkpoints/encoder/finished/published/provenance.json"
    assert sizes["unfinished"] == 4
    assert sizes["finished"] == 4 + record.stat().st_size
