"""The container's recipe, step by step in a clean virtual environment: there may be no container runtime."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.workflow.clone import copy_repository

ROOT = Path(__file__).parents[1]
DOCUMENTED = re.compile(r"gensis (snakemake .*)")


def steps(recipe: str) -> list[tuple[str, str]]:
    """Instruction and arguments of every step."""
    lines = re.sub(r"\\\n", " ", recipe).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line and not line.startswith("#")]


def interpreter(image: str) -> str:
    """The Python of an image `python:<version>-slim` if this machine has it, else that of the tests."""
    program = re.fullmatch(r"(python):([\d.]+)-slim", image).expand(r"\1\2")
    works = shutil.which(program) and subprocess.run([program, "-c", ""], capture_output=True).returncode == 0
    return program if works else sys.executable


def environment(python: str, folder: Path) -> dict[str, str]:
    """Variables under which commands find a new virtual environment alone."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return kept | {"PATH": f"{folder / 'bin'}:/usr/local/bin:/usr/bin:/bin"}


@pytest.mark.slow
def test_the_steps_of_the_recipe_make_an_environment_that_plans_and_runs_a_job(tmp_path):
    recipe = (ROOT / "envs/Containerfile").read_text()
    (_, image), *others = steps(recipe)
    variables, copied = environment(interpreter(image), tmp_path / "venv"), {}
    for instruction, words in others:
        if instruction == "COPY":
            *sources, target = words.split()
            copied[target] = f"{tmp_path}{target}"
            os.makedirs(copied[target])
            for source in sources:
                shutil.copy(ROOT / source, copied[target])
        elif instruction == "RUN":
            for target, place in copied.items():
                words = words.replace(target, place)
            subprocess.run(["sh", "-ec", words], env=variables, cwd=tmp_path, check=True)
        else:
            assert (instruction, words) == ("WORKDIR", "/work")
    work = copy_repository(tmp_path / "work")
    command = DOCUMENTED.search(recipe)[1]
    store = "results/images/demo/lymphoid-1a.h5"
    for target in ("-n", store):  # --configfile would take what follows it
        words = command.replace("snakemake", f"snakemake {target}", 1)
        subprocess.run(["sh", "-ec", words], env=variables, cwd=work, check=True)
    read = "import gensis.ssl.pretrainer, sys; from gensis.images.store import Store; print(len(Store(sys.argv[1])))"
    variables["PYTHONPATH"] = str(work / "workflow/scripts")
    line = ["sh", "-ec", 'python -c "$1" "$2"', "sh", read, str(work / store)]
    done = subprocess.run(line, env=variables, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 0
