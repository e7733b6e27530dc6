"""This workflow as a module of another: its results are those of its own run, in the other's working directory."""

import os
import re
import shutil
import subprocess

import pytest
from tests.workflow.clone import ROOT, TINY, copy_repository, planned, snakemake, write_config
from tests.workflow.conftest import draw_slides, tiny_study

IMPORTER = """
rule own:
    output: "own.txt"
    shell: "touch {{output}}"

module gensis:
    snakefile: "{snakefile}"
    {config}

use rule * from gensis as gensis_*
"""
# As snakedeploy 0.17 writes it.
DEPLOYED = """
from snakemake.utils import min_version


min_version("6.10.0")


configfile: "config/config.yaml"


# declare https://github.com/OWNER/gensis as a module
module gensis:
    snakefile:
        github("OWNER/gensis", path="workflow/Snakefile", tag="v1")
    config:
        config


# use all rules from https://github.com/OWNER/gensis
use rule * from gensis
"""


@pytest.fixture
def importer(tmp_path):
    """Function of the `config:` of a module, and further statements: the folder of a workflow that uses a clone."""

    def write(config="", clone=None):
        clone = clone or copy_repository(tmp_path / "clone")
        folder = tmp_path / "importer"
        folder.mkdir()
        (folder / "Snakefile").write_text(IMPORTER.format(snakefile=clone / "Snakefile", config=config))
        return folder

    return write


def study_of_photos(folder):
    """A config with a data set that is not the demo's."""
    (folder / "photos/train").mkdir(parents=True)
    values = TINY | {"datasets": {"photos": {"kind": "folder", "path": "photos", "splits": {"train": "train"}}}}
    return values | {"pretraining": TINY["pretraining"] | {"dataset": "photos"}}


def test_a_module_without_config_plans_the_demo(importer, tmp_path):
    folder = importer()
    of_module = planned(folder, None, "gensis_all")
    assert of_module.pop("gensis_all") == 1
    of_clone = planned(tmp_path / "clone", None)
    assert {name.removeprefix("gensis_"): jobs for name, jobs in of_module.items()} == of_clone
    assert not (tmp_path / "clone/results").exists()


def test_a_module_without_config_takes_the_config_that_the_user_gives_instead_of_the_demo(importer, tmp_path):
    folder = importer()
    config = write_config(tmp_path / "photos.yaml", study_of_photos(folder))
    shown = snakemake(folder, config, "gensis_all", "-n").stdout
    assert "results/images/photos/train-0000.h5" in shown
    assert "demo" not in shown.split("Building DAG")[1]


def test_a_module_takes_a_section_of_the_config_of_the_other_workflow(importer, tmp_path):
    folder = importer('config: config["ssl"]')
    config = write_config(tmp_path / "photos.yaml", {"other": 1, "ssl": study_of_photos(folder)})
    shown = snakemake(folder, config, "gensis_all", "-n").stdout
    assert "results/images/photos/train-0000.h5" in shown


def test_a_prefix_is_refused(importer):
    result = snakemake(importer('prefix: "sub"'), None, "gensis_all", "-n")
    assert result.returncode != 0
    assert "error: module: `prefix` and `replace_prefix` cannot be used" in result.stdout


def test_a_finished_run_is_finished_as_a_module_too_and_its_report_is_written_again(importer, finished):
    folder = importer(clone=finished.clone)
    for name in ("results", ".snakemake"):
        shutil.copytree(finished.clone / name, folder / name, copy_function=shutil.copy2)
    assert planned(folder, finished.config, "gensis_all", "gensis_geojson", "gensis_features") == {}
    (folder / "results/tiny/report.html").unlink()
    result = snakemake(folder, finished.config, "gensis_all")
    assert result.returncode == 0, result.stdout
    assert (folder / "results/tiny/report.html").exists()


def test_jobs_of_a_module_ask_for_memory_by_the_gpus_that_the_other_workflow_gives_them(importer, tmp_path):
    folder = importer()
    config = write_config(tmp_path / "photos.yaml", study_of_photos(folder) | {"autoencoder": "train"})

    def memory(gpus):
        given = ("--set-resources", f"gensis_train_autoencoder:gpu={gpus}")
        shown = snakemake(folder, config, "gensis_diffusion", "-n", *given).stdout
        of_job = shown.split("\nrule gensis_train_autoencoder:")[1].split("\n\n")[0]
        return int(re.search(r"mem_mb=(\d+)", of_job)[1])

    assert memory(4) == 17_000  # of four processes that load CUDA
    assert memory(1) == 5_000


@pytest.mark.slow
def test_a_module_runs_from_slides_to_report(importer, tmp_path):
    draw_slides(tmp_path / "slides")
    folder = importer('config: config["ssl"]')
    config = write_config(tmp_path / "tiny.yaml", {"ssl": tiny_study(tmp_path / "slides")})
    result = snakemake(folder, config, "own", "gensis_all", "gensis_geojson", "gensis_features", "gensis_export")
    assert result.returncode == 0, result.stdout[-5000:]
    assert {path.name for path in folder.iterdir()} == {"Snakefile", "own.txt", "results", ".snakemake"}
    assert (folder / "results/tiny/report.html").exists()
    assert snakemake(folder, config, "gensis_verify").returncode == 0
    report = snakemake(folder, config, "gensis_all", "--report", "report.zip")
    assert (report.returncode, "WARNING" in report.stdout) == (0, False), report.stdout
    assert not (tmp_path / "clone/results").exists()


def test_the_form_that_snakedeploy_writes_plans_the_demo(tmp_path, monkeypatch):
    clone = copy_repository(tmp_path / "hosted/OWNER/gensis")
    author = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-q", "-m", "all"], ["tag", "v1"]):
        subprocess.run(["git", *command], cwd=clone, check=True)
    for name, value in {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "GIT_CONFIG_COUNT": "1",  # git takes the local repository for that of the address
        "GIT_CONFIG_KEY_0": f"url.file://{tmp_path}/hosted/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
    }.items():
        monkeypatch.setenv(name, value)

    folder = tmp_path / "deployed"
    shutil.copytree(ROOT / "config", folder / "config")  # follows links, as snakedeploy does
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    (folder / "workflow").mkdir()
    (folder / "workflow/Snakefile").write_text(DEPLOYED)
    result = snakemake(folder, None, "-n", "-p")
    assert result.returncode == 0, result.stdout
    assert "Using workflow specific profile profiles/default" in result.stdout
    scripts = {path for path in re.findall(r"\S+/tile_slide\.py", result.stdout)}
    assert len(scripts) == 1
    assert os.path.exists(scripts.pop())
    assert planned(folder, None) == planned(clone, None)
