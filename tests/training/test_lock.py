"""One process trains in a folder, whichever machine it is on, and a killed one does not block the next."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from gensis.errors import UserError
from gensis.training import lock
from gensis.training.checkpoints import CheckpointFolder
from gensis.training.lock import FolderLock, Owner

HOLD = """
import sys
from gensis.training.lock import FolderLock
with FolderLock(sys.argv[1]):
    print("holds", flush=True)
    sys.stdin.read()
"""
CRASH = "import os, signal, sys; from gensis.training.lock import FolderLock; FolderLock(sys.argv[1]).__enter__(); " + (
    "os.kill(os.getpid(), signal.SIGKILL)"
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Heartbeats of 0.2 s, and no SLURM job."""
    monkeypatch.setattr(lock, "_BEAT_SECONDS", 0.2)
    for name in ("SLURM_JOB_ID", "SLURM_CLUSTER_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Function that puts a squeue on the path, which answers what a real one does."""

    def answer(script):
        program = tmp_path / "bin" / "squeue"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)

    return answer


def start(code: str, folder: Path) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(Path(lock.__file__).parents[2])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], env=environment, text=True, **pipes)


def left_behind(folder: Path, **owner) -> Path:
    """The lock of a process that cannot be asked: on another host, unless given."""
    path = folder / "lock-1.json"
    path.write_text(json.dumps({"host": "elsewhere", "process": 1} | owner))
    return path


@contextmanager
def beating(path: Path):
    """Renew a lock all the time."""
    done = threading.Event()

    def beat():
        number = 0
        while not done.wait(0.01):
            number += 1
            os.utime(path, ns=(number, number))

    thread = threading.Thread(target=beat)
    thread.start()
    yield
    done.set()
    thread.join()


def test_a_running_process_of_this_host_is_named_and_refused_and_its_end_releases_the_folder(tmp_path):
    owner = start(HOLD, tmp_path)
    assert owner.stdout.readline() == "holds\n"
    with pytest.raises(
        UserError, match=rf"process {owner.pid} on {socket.gethostname()} is training in {tmp_path}: wait"
    ):
        FolderLock(tmp_path).__enter__()
    owner.communicate()
    with FolderLock(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


def test_the_lock_of_a_killed_process_is_taken_over_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_BEAT_SECONDS", 1e9)  # waiting would not end
    killed = start(CRASH, tmp_path)
    os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)  # leaves it a zombie
    assert os.listdir(tmp_path) == ["lock-1.json"]
    with FolderLock(tmp_path):
        assert os.listdir(tmp_path) == ["lock-2.json"]
    killed.communicate()


def test_another_process_with_the_number_of_a_killed_one_is_not_its_owner(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_BEAT_SECONDS", 1e9)
    later = Owner.this_process().model_copy(update={"start_ticks": 12345})
    left_behind(tmp_path, **later.model_dump())
    with FolderLock(tmp_path):
        pass


@pytest.mark.parametrize("ahead_seconds", [-1e6, 1e6])
def test_a_silent_owner_elsewhere_is_replaced_whatever_its_clock_says(tmp_path, ahead_seconds, caplog):
    caplog.set_level("INFO")
    path = left_behind(tmp_path)
    os.utime(path, (path.stat().st_mtime + ahead_seconds,) * 2)
    with FolderLock(tmp_path):
        pass
    assert "for a sign of life of process 1 on elsewhere" in caplog.text


def test_an_owner_elsewhere_that_shows_a_heartbeat_is_refused(tmp_path):
    path = left_behind(tmp_path, slurm_job="77", slurm_cluster="other")
    with beating(path), pytest.raises(UserError, match=r"process 1 on elsewhere \(SLURM job 77\) is training"):
        FolderLock(tmp_path).__enter__()


@pytest.mark.parametrize(
    "answer",
    ["exit 0", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"],
    ids=["ended", "forgotten"],
)
def test_the_lock_of_a_slurm_job_that_is_over_is_taken_over_at_once(tmp_path, monkeypatch, squeue, answer):
    monkeypatch.setattr(lock, "_BEAT_SECONDS", 1e9)
    monkeypatch.setenv("SLURM_CLUSTER_NAME", "loop")
    squeue(answer)
    with FolderLock(left_behind(tmp_path, slurm_job="77", slurm_cluster="loop").parent):
        pass


@pytest.mark.parametrize(
    ("answer", "cluster"),
    [("echo 77 RUNNING", "loop"), ("echo timed out >&2; exit 1", "loop"), ("exit 0", "another")],
    ids=["running", "no answer", "another cluster"],
)
def test_a_slurm_job_that_may_run_is_judged_by_its_heartbeats(tmp_path, monkeypatch, squeue, answer, cluster):
    monkeypatch.setenv("SLURM_CLUSTER_NAME", "loop")
    squeue(answer)
    with (
        beating(left_behind(tmp_path, slurm_job="77", slurm_cluster=cluster)),
        pytest.raises(UserError, match="SLURM job 77"),
    ):
        FolderLock(tmp_path).__enter__()


def test_a_requeued_job_takes_over_its_own_lock_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_BEAT_SECONDS", 1e9)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_CLUSTER_NAME", "loop")
    left_behind(tmp_path, **Owner.this_process().model_dump() | {"host": "elsewhere"})
    with FolderLock(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"host": "h"}', '{"host": "h", "process": -1}', "\x00\xff"])
def test_a_lock_that_names_no_owner_is_judged_by_its_heartbeats(tmp_path, text):
    path = left_behind(tmp_path)
    path.write_text(text, encoding="latin-1")
    with beating(path), pytest.raises(UserError, match=rf"the process of {path} is training"):
        FolderLock(tmp_path).__enter__()
    with FolderLock(tmp_path):
        pass


def test_of_processes_that_start_together_one_enters(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_BEAT_SECONDS", 10)
    earlier = Owner.this_process().model_dump() | {"start_ticks": 12345}
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        left_behind(folder, **earlier)
        together, entered = threading.Barrier(8), []

        def enter(folder=folder, together=together, entered=entered):
            together.wait()
            try:
                entered.append(lock._take(folder))
            except UserError:
                entered.append(None)

        threads = [threading.Thread(target=enter) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(list(filter(None, entered))) == 1
        assert list(folder.iterdir()) == list(filter(None, entered))


def test_a_process_that_was_silent_and_replaced_stops(tmp_path):
    stopped = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    try:
        with FolderLock(tmp_path):
            (tmp_path / "lock-1.json").rename(tmp_path / "lock-2.json")
            assert stopped.wait(30)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert os.listdir(tmp_path) == ["lock-2.json"]


def test_two_trainings_cannot_share_a_checkpoint_folder_and_publishing_keeps_the_lock(tmp_path):
    folder = CheckpointFolder(tmp_path, "t", "a")
    for _ in range(2):
        with folder:
            with pytest.raises(UserError, match=rf"process {os.getpid()} on"), CheckpointFolder(tmp_path, "t", "a"):
                pass
            folder._remove_all_but(folder.published)
            assert os.listdir(folder.path) == ["lock-1.json"]
