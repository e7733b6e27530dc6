"""A copy of the repository in which tests run the real workflow."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from tests.warm_python import PLANNING, warm_python

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "workflow", "config", "envs", "profiles", "resources")
ON_CPU = ("--cores", "2", "--resources", "gpu=0")

# The smallest config with all stages of the method.
TINY = {
    "run": "tiny",
    "pretraining": {
        "backbone": "vit_tiny_patch16_224",
        "backbone_args": {"patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 2},
        "image_px": 16,
        "epochs": 2,
        "batch_size": 16,
        "dino": {"prototypes": 32, "head_hidden_dim": 32, "head_bottleneck_dim": 16},
        "views": {"local_crops": 2, "local_px": 8},
    },
    "diffusion": {"channels": [8, 16], "layers_per_block": 1, "attention_levels": 0, "steps": 20, "batch_size": 16},
    "banks": {"default": {"sampling_steps": 2, "filter": {"minimum_fidelity": -0.9}}},
    "retraining": {"gen-dino": {"bank": "default"}},
    "evaluation": {"knn": [3], "mil_epochs": 2, "mil_seeds": 1, "bootstrap": 50, "folds": 2},
}


def copy_repository(target: Path) -> Path:
    """Copy the files that a clone of the repository has."""
    for part in PARTS:
        source = ROOT / part
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        ignored = {"ignore": shutil.ignore_patterns("__pycache__", "*.tiff")} if source.is_dir() else {}
        target.mkdir(parents=True, exist_ok=True)
        copy(source, target / part, **ignored)
    return target


def write_config(path: Path, values: dict) -> Path:
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def snakemake(
    clone: Path, config: Path | None, *arguments: str, python: str | Path = sys.executable
) -> subprocess.CompletedProcess:
    """Run Snakemake in the clone on the CPU, with this Python for all jobs; standard error is in `stdout` too."""
    # Targets come first: --resources and --configfile take all arguments that follow them.
    if "-n" in arguments:
        python = warm_python(PLANNING)
    given = ["--configfile", str(config)] if config else []
    command = [python, "-m", "snakemake", *arguments, *ON_CPU, *given]
    return subprocess.run(command, cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def planned(clone: Path, config: Path | None, *arguments: str) -> dict[str, int]:
    """Rules that a dry run would execute, with their numbers of jobs; `all` is left out."""
    result = snakemake(clone, config, "-n", *arguments)
    assert result.returncode == 0, result.stdout
    table = re.search(r"job +count\n-+  -+\n(.*?)\n\n", result.stdout, re.DOTALL)
    if table is None:
        assert "Nothing to be done" in result.stdout, result.stdout
        return {}
    rows = (line.split() for line in table[1].splitlines())
    return {name: int(count) for name, count in rows if name not in ("total", "all")}


def planned_first(clone: Path, config: Path, *arguments: str) -> list[tuple[str, str]]:
    """Rule and first output of the jobs that a dry run would execute, except jobs that only follow from other jobs."""
    result = snakemake(clone, config, "-n", *arguments)
    assert result.returncode == 0, result.stdout
    job = r"rule (\w+):\n(?:    .*\n)*?    output: ([^,\n]*).*\n(?:    .*\n)*?    reason: (.*)"
    return [
        (rule, output)
        for rule, output, reason in re.findall(job, result.stdout)
        if "Input files updated by another job" not in reason
    ]
