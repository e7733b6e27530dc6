"""The targets clean and clean_now, and what killed processes leave and say, in a clone without results."""

import os
import time

import pytest
from tests.workflow.clone import copy_repository, snakemake

DEMO = "config/demo.yaml"
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
        path.write_text("{}")
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


@pytest.mark.parametrize(("rule", "is_said"), [("killed", True), ("failed", False)])
def test_of_a_killed_process_it_is_said_that_the_memory_may_have_been_full(clone, rule, is_said):
    result = snakemake(clone, DEMO, rule)
    assert result.returncode == 1
    said = "error: a process of this job was killed. If nobody stopped it, the memory was full: give the job more"
    assert any(line.startswith(said) for line in result.stdout.splitlines()) == is_said
