"""The targets clean and clean_now, and what killed processes leave and say, in a clone without results."""

import os
import subprocess
import sys
import time

import pytest
from tests.workflow.clone import copy_repository, snakemake

from gensis.artifacts.folders import publish_folder, write_provenance

DEMO, SCRIPTS = "config/demo.yaml", "workflow/scripts"
CHECKPOINTS = "results/demo/checkpoints/encoder"
KILLED = """
rule killed:
    shell: "kill -9 $BASHPID | cat"

rule failed:
    shell: "false"
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone with two more rules."""
    folder = copy_repository(tmp_path_factory.mktemp("clean") / "clone")
    with open(folder / "Snakefile", "a") as stream:
        stream.write(KILLED)
    return folder


def test_clean_lists_and_clean_now_removes(clone):
    old = [clone / "results/demo/.summary.csv.0badcafe-9.tmp", clone / CHECKPOINTS / "a/published/provenance.json"]
    for path in old:
        path.parent.mkdir(parents=True)
    old[0].write_text("{}")
    write_provenance(old[1].parent, {"seed": 0})
    publish_folder(old[1].parent, clone / "results/demo/encoders/dino/seed0")
    for path in old:
        os.utime(path, (time.time() - 7200,) * 2)
    (clone / CHECKPOINTS / "unfinished").mkdir()
    listed = snakemake(clone, DEMO, "clean").stdout
    assert all(path.exists() for path in old)
    for name in ("results/demo/.summary.csv.0badcafe-9.tmp", f"{CHECKPOINTS}/a"):
        assert f"0.0 MB  {name}  (" in listed
    assert "the target `clean_now` removes them" in listed
    assert snakemake(clone, DEMO, "clean_now").returncode == 0
    assert os.listdir(clone / CHECKPOINTS) == ["unfinished"]
    assert not old[0].exists()


def test_a_successful_run_removes_the_temporary_files_of_killed_processes(clone):
    (clone / "results/images/demo").mkdir(parents=True, exist_ok=True)
    code = "from gensis.artifacts.temporary import *; temporary_path(Path('results/images/demo/a.h5')).touch()"
    subprocess.run([sys.executable, "-c", code], cwd=clone, env=os.environ | {"PYTHONPATH": SCRIPTS}, check=True)
    assert len(list((clone / "results/images/demo").iterdir())) == 1
    assert snakemake(clone, DEMO, "clean").returncode == 0
    assert list((clone / "results/images/demo").iterdir()) == []


def test_of_a_killed_process_alone_it_is_said_that_the_memory_may_have_been_full(clone):
    result = snakemake(clone, DEMO, "killed", "failed")
    assert result.returncode == 1
    said = "error: a process of this job was killed. If nobody stopped it, the memory was full: give the job more"
    assert result.stdout.count("Error in rule") == 2
    assert result.stdout.count(said) == 1
