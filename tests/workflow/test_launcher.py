"""How a training is started: alone, in processes of torchrun, and in a job of SLURM as a step of its own."""

import subprocess
import sys

import pytest
from tests.workflow.clone import copy_repository

# Appended to the Snakefile: prints the command for each of several resources.
SHOW = """
for resources in ({}, {"gpu": 4, "nodes": 1}, {"gpu": 4, "nodes": 2}):
    print("launcher:", launcher(None, 8, resources))
"""
ON_ONE = "srun --overlap --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task=${SLURM_CPUS_PER_TASK:-8} "
ON_TWO = ON_ONE.replace("=1 --ntasks=1 ", "=2 --ntasks=2 ") + "--gpus-per-node=2 "


@pytest.fixture
def launchers(tmp_path, monkeypatch):
    """Function of Snakemake's mode: the start of the commands without GPU, with four, and with four on two nodes."""
    clone = copy_repository(tmp_path / "clone")
    with open(clone / "Snakefile", "a") as stream:
        stream.write(SHOW)

    def show(mode):
        command = [sys.executable, "-m", "snakemake", "--list-rules", "--mode", mode]
        shown = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=True).stdout
        return [line.removeprefix("launcher: ") for line in shown.splitlines() if line.startswith("launcher: ")]

    monkeypatch.setenv("SLURM_JOB_ID", "70007")
    return show


def test_a_training_is_a_step_of_its_slurm_job(launchers):
    alone, four, two_nodes = launchers("remote")
    assert alone == ON_ONE + sys.executable
    assert four.startswith(ON_ONE)
    assert four.endswith("--nproc-per-node=4 --standalone")
    assert two_nodes.startswith(ON_TWO)


def test_the_processes_of_two_nodes_meet_at_a_port_of_their_job(launchers):
    shell = f"srun() {{ printf '%s\\n' \"$@\"; }}; hostname() {{ echo first; }}; {launchers('remote')[2]}"
    words = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True).stdout.split()
    assert {
        "--shutdown-timeout=1800",
        "--nproc-per-node=2",
        "--nnodes=2",
        "--rdzv-endpoint=first:50007",
        "--rdzv-id=70007",
    } <= set(words)


def test_outside_of_a_slurm_job_no_step_is_started(launchers, monkeypatch):
    assert launchers("default")[0] == sys.executable  # Snakemake itself, which may be in a job
    monkeypatch.delenv("SLURM_JOB_ID")
    assert launchers("remote")[0] == sys.executable
