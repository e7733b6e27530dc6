"""Jobs that run at the same time get different GPUs."""

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
    """A machine with four GPUs: starts jobs that print their visible GPUs and wait."""
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\n" + "".join(f"echo '{number}, {name}'\n" for number, name in KNOWN.items()))
    driver.chmod(0o755)
    jobs = []

    def start(count, visible=None):
        environment = {name: value for name, value in os.environ.items() if name != VISIBLE}
        environment |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
        environment |= {VISIBLE: visible} if visible else {}
        command = [sys.executable, SCRIPTS / "assign_gpus.py", str(count), sys.executable, "-c", SHOW]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        jobs.append(subprocess.Popen(command, env=environment, **pipes))
        return jobs[-1], jobs[-1].stdout.readline().strip()

    yield start
    for job in jobs:
        job.kill()
        job.communicate()


def test_simultaneous_jobs_get_different_gpus_and_a_killed_job_releases_its_own(machine):
    (first, gpus_of_first), (_, gpus_of_second) = machine(2), machine(1)
    assert (gpus_of_first, gpus_of_second) == ("GPU-a,GPU-b", "GPU-c")
    first.kill()
    first.wait()
    assert machine(2)[1] == "GPU-a,GPU-b"


def test_the_variable_is_unchanged_if_too_few_gpus_are_free(machine):
    machine(3)
    assert machine(2)[1] == "unset"
    assert machine(1)[1] == "GPU-d"  # the failed attempt holds no lock


def test_only_visible_gpus_are_taken(machine):
    assert machine(1, visible="2,3")[1] == "GPU-c"
    assert machine(1, visible="2,3")[1] == "GPU-d"
    assert machine(1, visible="GPU-b")[1] == "GPU-b"


@pytest.mark.parametrize(
    ("visible", "expected"),
    [(None, list(KNOWN.values())), ("1", ["GPU-b"]), ("GPU-a,3", ["GPU-a", "GPU-d"]), ("MIG-x", [])],
)
def test_visible_gpus_are_those_named_in_the_variable(visible, expected):
    assert visible_gpus(KNOWN, visible) == expected


def test_without_a_driver_no_gpu_is_taken(tmp_path):
    assert visible_gpus({}, None) == []
    assert take([], 1, tmp_path) == []
