"""Jobs that run side by side see different GPUs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
sys.path.append(str(SCRIPTS))

from assign_gpus import VISIBLE, take, visible_gpus  # noqa: E402

KNOWN = {"0": "GPU-a", "1": "GPU-b", "2": "GPU-c", "3": "GPU-d"}
SHOW = f"import os; print(os.environ.get('{VISIBLE}', 'unset'), flush=True); input()"


@pytest.fixture
def machine(tmp_path):
    """A machine with four GPUs: starts jobs that say what they see, and wait."""
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\n" + "".join(f"echo '{number}, {name}'\n" for number, name in KNOWN.items()))
    driver.chmod(0o755)
    jobs = []

    def start(count, told=None):
        environment = {name: value for name, value in os.environ.items() if name != VISIBLE}
        environment |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
        environment |= {VISIBLE: told} if told else {}
        command = [sys.executable, SCRIPTS / "assign_gpus.py", str(count), sys.executable, "-c", SHOW]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        jobs.append(subprocess.Popen(command, env=environment, **pipes))
        return jobs[-1], jobs[-1].stdout.readline().strip()

    yield start
    for job in jobs:
        job.kill()
        job.communicate()


def test_jobs_side_by_side_see_different_gpus_and_a_killed_one_gives_its_own_back(machine):
    (first, seen_by_first), (_, seen_by_second) = machine(2), machine(1)
    assert (seen_by_first, seen_by_second) == ("GPU-a,GPU-b", "GPU-c")
    first.kill()
    first.wait()
    assert machine(2)[1] == "GPU-a,GPU-b"


def test_a_job_sees_what_it_would_have_seen_where_too_few_gpus_are_free(machine):
    machine(3)
    assert machine(2)[1] == "unset"
    assert machine(1)[1] == "GPU-d"  # the try has kept none


def test_only_gpus_that_were_visible_are_taken(machine):
    assert machine(1, told="2,3")[1] == "GPU-c"
    assert machine(1, told="2,3")[1] == "GPU-d"
    assert machine(1, told="GPU-b")[1] == "GPU-b"


@pytest.mark.parametrize(
    ("told", "seen"), [(None, list(KNOWN.values())), ("1", ["GPU-b"]), ("GPU-a,3", ["GPU-a", "GPU-d"]), ("MIG-x", [])]
)
def test_visible_gpus_are_those_that_the_variable_names(told, seen):
    assert visible_gpus(KNOWN, told) == seen


def test_without_a_driver_no_gpu_is_taken(tmp_path):
    assert visible_gpus({}, None) == []
    assert take([], 1, tmp_path) == []
