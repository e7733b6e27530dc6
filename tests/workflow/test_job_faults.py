"""Every job that is killed, or cannot write, leaves nothing that looks whole, and its repetition is as undisturbed."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.faults.killed_study import draw_photos, with_every_stage
from tests.faults.same_results import contents
from tests.workflow.clone import write_config
from tests.workflow.jobs import jobs

from gensis.artifacts.temporary import remove_abandoned, temporary_files

RULES = (
    "tile_slide",
    "import_images",
    "index_images",
    "plot_slides",
    "pretrain_encoder",
    "embed_images",
    "train_autoencoder",
    "train_diffusion",
    "generate_bank",
    "copy_bank",
    "filter_bank",
    "retrain_encoder",
    "evaluate_bank",
    "evaluate_encoder_on_slides",
    "track_knn",
    "summarize",
    "store_config",
    "write_report",
    "export_geojson",
    "export_features",
    "export_attention",
    "export_images",
    "export_bank",
)
NOT_IN_THE_TINY_STUDY = ("import_images", "train_autoencoder", "copy_bank")
KILLED = """
moved = 0
def count(event, arguments):
    global moved
    if event == "os.rename":
        moved += 1
        if moved == {number}:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
"""


@pytest.fixture(scope="module")
def reference(finished, tmp_path_factory):
    """Folder with undisturbed results of all rules, and the first job of each rule."""
    folder = tmp_path_factory.mktemp("reference")
    shutil.copytree(finished.clone / "results", folder / "results")
    values = with_every_stage(finished.values, draw_photos(folder / "photos"))
    larger = jobs(finished.clone, write_config(folder / "larger.yaml", values))
    found = jobs(finished.clone, finished.config) | {rule: larger[rule] for rule in NOT_IN_THE_TINY_STUDY}
    for rule in NOT_IN_THE_TINY_STUDY:
        done = found[rule].run(folder)
        assert done.returncode == 0, done.stderr
    return folder, found


@pytest.fixture(params=RULES)
def job(reference, request):
    return reference[1][request.param]


@pytest.fixture
def folder(reference, job, tmp_path):
    """A folder with all results but those of the job."""
    shutil.copytree(reference[0] / "results", tmp_path / "results")
    for path in map(tmp_path.joinpath, job.outputs):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(tmp_path / "results/tiny/checkpoints")
    return tmp_path


def is_as_undisturbed(folder: Path, reference: Path, partly: bool = False) -> bool:
    """Whether the results in a folder are those of the reference; ``partly``: as far as they exist."""
    found, expected = contents(folder / "results"), contents(reference / "results")
    return found.items() <= expected.items() if partly else found == expected


def test_a_job_killed_while_it_publishes_leaves_nothing_that_looks_whole_and_can_be_repeated(reference, job, folder):
    number = random.Random(job.rule).randint(1, len(job.outputs))
    assert job.run(folder, KILLED.format(number=number), save_always=True).returncode == 256 - 9
    assert is_as_undisturbed(folder, reference[0], partly=True)
    done = job.run(folder, save_always=True)
    assert done.returncode == 0, done.stderr
    remove_abandoned(folder)
    assert not list(temporary_files(folder))
    assert is_as_undisturbed(folder, reference[0])


@pytest.mark.slow
def test_a_job_on_a_full_disk_ends_in_one_line_and_leaves_nothing(reference, job, folder):
    files = [path for each in map(reference[0].joinpath, job.outputs) for path in (each, *each.rglob("*"))]
    size = max(path.stat().st_size for path in files if path.is_file())
    done = job.run(folder, f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size // 2}, {size // 2}))")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "File too large: free space there, or raise the quota" in done.stderr.splitlines()[-1]
    assert is_as_undisturbed(folder, reference[0], partly=True)
    assert not list(temporary_files(folder))


@pytest.fixture
def read_only(folder):
    """The job's folder, with results that may not be written."""
    results = folder / "results"
    for options in (["--bind", results], ["-o", "remount,bind,ro"]):
        done = subprocess.run(["mount", *options, results], capture_output=True)
        if done.returncode:
            pytest.skip("this user may not mount a folder read-only")
    yield folder
    subprocess.run(["umount", results], check=True)


@pytest.mark.slow
def test_a_job_with_read_only_results_ends_in_one_line(job, read_only):
    done = job.run(read_only)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Read-only file system: allow this user to read and write there" in done.stderr.splitlines()[-1]
