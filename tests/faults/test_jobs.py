"""Jobs under system errors: a full disk, I/O errors, termination."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys

import pytest
from tests.drawing import drawn_slide
from tests.slides.test_tile_slide import ROOT, SCRIPT, SMALL, command_line

from gensis.artifacts.temporary import remove_abandoned, temporary_files

SCRIPTS = ROOT / "workflow" / "scripts"
PNG_TILES = SMALL | {"mpp": 0.5, "encoding": "png"}


def job(code, *arguments, **options):
    """Start a script whose main function has this code."""
    script = f"import sys, argparse; from pathlib import Path; from gensis.command import run\n{code}\n"
    command = [sys.executable, "-c", script + "run(main, argparse.Namespace())", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=SCRIPTS, **pipes, **options)


def last_words(process):
    """Exit status and last line of the log, which must not contain a traceback."""
    _, log = process.communicate()
    assert "Traceback" not in log, log
    return process.returncode, log.splitlines()[-1] if log else ""


def terminated(process):
    """Exit status after SIGTERM, which is sent again where it came just before a read that waits."""
    while True:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=5)


def heed_interrupts():
    """Function that a process calls first: whatever started the tests may have it ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def limited_to(size_bytes):
    """Function that a process calls first to limit the size of its files."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


@pytest.fixture
def small_disk(tmp_path):
    """A folder with room for 400 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user may not mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("kept_bytes", [0, 10_000, 200_000])
def test_a_file_size_limit_is_a_one_line_error_and_leaves_nothing(tmp_path, kept_bytes):
    slide = drawn_slide(tmp_path / "slide.tiff", width_px=1024, height_px=768)
    folder = tmp_path / "images"
    command = [sys.executable, SCRIPT, *command_line(folder, slide, PNG_TILES, ())]
    done = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=limited_to(kept_bytes))
    status, line = last_words(done)
    assert status == 1
    assert line.startswith(f"error: while writing {folder / 'unit.h5'}: File too large: free space there")
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_a_one_line_error_and_leaves_nothing(tmp_path, small_disk):
    slide = drawn_slide(tmp_path / "slide.tiff", width_px=1024, height_px=768)
    command = [sys.executable, SCRIPT, *command_line(small_disk, slide, PNG_TILES, ())]
    status, line = last_words(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    assert status == 1
    advice = "free space there, or raise the quota or limit, and run again: finished jobs are kept"
    assert line == f"error: while writing {small_disk / 'unit.h5'}: No space left on device: {advice}"
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("Path('/dev/full').write_bytes(b'0')", "error: a file: No space left on device: free space there"),
        ("open('/proc/self/mem', 'rb').read(9)", "error: a file: Input/output error: check the disk or the network"),
        (
            "raise RuntimeError(\"Can't decrement id ref count (errno = 122, error message = 'Disk quota exceeded')\")",
            "error: a file: Disk quota exceeded: free space there, or raise the quota",
        ),
        (
            "raise PermissionError(13, 'no', '/results/x.h5')",
            "error: /results/x.h5: Permission denied: allow this user to read and write there",
        ),
        ("bytearray(1 << 62)", "error: the memory is full (MemoryError): give the job more"),
        (
            "import torch; raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.')",
            "error: the GPU's memory is full (CUDA out of memory. Tried to allocate 2.00 GiB.): lower runtime.image_ca",
        ),
    ],
)
def test_system_errors_end_a_job_in_one_line(code, line):
    status, last = last_words(job(f"def main(arguments): {code}"))
    assert status == 1
    assert last.startswith(line)
    assert last.endswith("and run again: finished jobs are kept")


@pytest.mark.parametrize(
    ("write", "named"),
    [
        ("CheckpointFolder(folder, 'encoder', 'a').save({'step': 1, 'task': weights})", "checkpoint-000000001.pt"),
        ("save_file(weights, folder / 'model.safetensors')", "a file"),
    ],
)
def test_a_training_that_cannot_write_its_weights_ends_in_one_line(tmp_path, write, named):
    (tmp_path / "encoder/a").mkdir(parents=True)
    code = f"""
import torch
from safetensors.torch import save_file
from gensis.training.checkpoints import CheckpointFolder
def main(arguments):
    folder, weights = Path(sys.argv[1]), {{"weight": torch.zeros(1000, 1000)}}
    {write}
"""
    status, last = last_words(job(code, tmp_path, preexec_fn=limited_to(100_000)))
    assert status == 1
    assert f"{named}: File too large: free space there" in last
    assert list((tmp_path / "encoder/a").iterdir()) == []


def test_a_picture_whose_last_byte_does_not_fit_is_not_published(tmp_path):
    code = """
from PIL import Image
from gensis.artifacts.files import write_saved
def main(arguments):
    write_saved(Path(sys.argv[1]), lambda stream: Image.radial_gradient("L").save(stream, format="JPEG"))
"""
    assert last_words(job(code, tmp_path / "whole.jpg"))[0] == 0
    limit = limited_to((tmp_path / "whole.jpg").stat().st_size - 1)
    status, last = last_words(job(code, tmp_path / "cut.jpg", preexec_fn=limit))
    assert (status, "cut.jpg: File too large: free space there" in last) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["whole.jpg"]


@pytest.mark.parametrize(
    "code", ["open('absent')", "raise RuntimeError('a bug')", "raise OSError('broken data stream')", "{}['key']"]
)
def test_other_errors_are_bugs_and_keep_their_traceback(code):
    process = job(f"def main(arguments): {code}")
    _, log = process.communicate()
    assert process.returncode == 1
    assert "Traceback" in log


WRITES = """
from gensis.artifacts.files import written_atomically
import signal
def main(arguments):
    with written_atomically(Path(sys.argv[1])) as temporary:
        temporary.write_text("a part")
        print("writing", flush=True)
        while True:
            signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_ended_job_says_nothing_and_leaves_nothing(tmp_path, number):
    process = job(WRITES, tmp_path / "unit.h5", preexec_fn=heed_interrupts)
    assert process.stdout.readline() == "writing\n"
    process.send_signal(number)
    assert last_words(process) == (128 + number, "")
    assert list(tmp_path.iterdir()) == []


def test_a_job_in_the_background_of_a_script_ignores_ctrl_c(tmp_path):
    process = job(WRITES, tmp_path / "unit.h5", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert last_words(process) == (128 + signal.SIGTERM, "")


def test_temporary_files_of_killed_jobs_alone_are_removed(tmp_path):
    killed, running = (job(WRITES, tmp_path / name / "unit.h5") for name in ("killed", "running"))
    assert {process.stdout.readline() for process in (killed, running)} == {"writing\n"}
    killed.kill()
    killed.communicate()
    (tmp_path / "killed/.other.h5.0badcafe-99.tmp").write_text("of another machine")
    assert len(list(temporary_files(tmp_path))) == 3
    remove_abandoned(tmp_path)
    running.kill()
    running.communicate()
    assert sorted(path.parent.name for path in temporary_files(tmp_path)) == ["killed", "running"]
    assert [path.name for path in (tmp_path / "killed").iterdir()] == [".other.h5.0badcafe-99.tmp"]


def test_a_killed_job_leaves_no_artifact_and_can_be_repeated(tmp_path):
    process = job(WRITES, tmp_path / "unit.h5")
    assert process.stdout.readline() == "writing\n"
    process.kill()
    process.communicate()
    assert all(path.name.startswith(".") for path in tmp_path.iterdir())
    slide = drawn_slide(tmp_path / "slide.tiff")
    assert subprocess.run([sys.executable, SCRIPT, *command_line(tmp_path, slide, SMALL, ())]).returncode == 0
    assert json.loads((tmp_path / "unit.json").read_text())["outcome"] == "ok"


def test_a_job_terminated_while_it_reads_a_slide_leaves_nothing(tmp_path):
    slide, mask = drawn_slide(tmp_path / "slide.tiff"), tmp_path / "mask.geojson"
    os.mkfifo(mask)
    folder = tmp_path / "images"
    command = [sys.executable, SCRIPT, *command_line(folder, slide, SMALL, ("--mask", mask))]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    with open(mask, "w"):  # opens when the job reads the mask
        status = terminated(process)
    assert status == 128 + signal.SIGTERM
    assert not folder.exists() or list(folder.iterdir()) == []
