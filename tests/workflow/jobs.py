"""Jobs of a finished run, which tests run again one by one, without Snakemake, in a copy of its results."""

import json
import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.warm_python import warm_python
from tests.workflow.clone import snakemake

BLOCK = re.compile(
    r"^(?:local)?rule (\w+):\n(?:    input: (.*)\n)?    output: (.*)\n(?:    .*\n)*Shell command: (.*)\n", re.MULTILINE
)
RUN = """
import os, resource, runpy, signal, sys
{first}
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
TARGETS = ("all", "bank", "features", "geojson", "attention", "export")


@dataclass(frozen=True)
class Job:
    """A job that Snakemake would start."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    """Relative paths, such as `results/tiny/summary.csv`."""
    command: tuple[str, ...]
    """A script and its arguments."""
    given: str = ""
    """What it reads from standard input."""

    def run(self, folder: Path, first: str = "", save_always: bool = False) -> subprocess.CompletedProcess:
        """Run the job in a folder with `results/`.

        Args:
            folder: its working directory.
            first: statements that its process executes before the script.
            save_always: a training writes a checkpoint after every step.
        """
        line = list(self.command)
        if save_always and "--runtime" in line:
            value = line.index("--runtime") + 1
            line[value] = json.dumps(json.loads(line[value]) | {"checkpoint_seconds": 0})
        python = [warm_python(), "-c", RUN.format(first=first)]
        path = {"PYTHONPATH": str(Path(line[0]).parent)}
        how = {"cwd": folder, "env": os.environ | path, "stderr": subprocess.PIPE, "text": True}
        return subprocess.run([*python, *line], input=self.given, **how)


def jobs(clone: Path, config: Path) -> dict[str, Job]:
    """The first job of every rule that makes the results of a study; trainings with a bank are `retrain_encoder`."""
    shown = snakemake(clone, config, "-n", "-p", "--forceall", *TARGETS)
    assert shown.returncode == 0, shown.stdout
    found: dict[str, Job] = {}
    for rule, inputs, outputs, line in BLOCK.findall(shown.stdout):
        words, given = shlex.split(line), ""
        if words[0] == "printf":
            given, words = words[2], words[4:]
        command = tuple(words[1 : words.index(">")])  # the first is Python
        files = (path.removesuffix(" (update)") for path in outputs.split(", "))
        found.setdefault(rule, Job(rule, tuple(inputs.split(", ")), tuple(files), command, given))
    return found
