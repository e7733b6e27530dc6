"""HDF5 files: complete or absent whichever write fails, readable without file locks, each error named."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from gensis.artifacts.hdf5 import open_hdf5, reading, written_hdf5
from gensis.errors import UserError

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
FORMAT = "gensis-x/2"
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace to make system calls fail")

# Writes a small file again and again, its size limited to ever more bytes, and prints which files were left behind.
UNDER_LIMITS = """
import json, resource, signal, sys
from pathlib import Path
import numpy as np
from gensis.artifacts.hdf5 import written_hdf5

def write(path):
    with written_hdf5(path) as file:
        file.create_dataset("wide", data=np.arange(600).reshape(-1, 3))
        file["few"] = np.arange(10)
        file["words"] = ["one", "two"]
        file.create_group("inner").attrs["said"] = "x" * 500

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
write(path)
whole = path.read_bytes()
found = {"refused": 0, "left": []}
for limit in [*range(0, len(whole), 101), len(whole) - 1]:
    path.unlink(missing_ok=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write(path)
    except (OSError, RuntimeError) as error:
        found["refused"] += "File too large" in str(error) and error.__notes__ == [f"while writing {path}"]
    found["left"] += [limit, *map(str, path.parent.iterdir())] if any(path.parent.iterdir()) else []
resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole), resource.RLIM_INFINITY))
write(path)
found["limits"] = len(range(0, len(whole), 101)) + 1
print(json.dumps(found))
"""


MANY = """
import sys
from pathlib import Path
import numpy as np
from gensis.artifacts.hdf5 import written_hdf5
for number in range(40):
    path = Path(sys.argv[1], f"{number}.h5")
    try:
        with written_hdf5(path) as file:
            for name in "abc":
                file[name] = np.arange(40)
                file[name][:20] = 7
    except (OSError, RuntimeError):
        print(number)
"""


def python(code: str, folder: Path, through: Sequence[str] = ()) -> subprocess.CompletedProcess:
    """Run code with a folder as its argument, optionally through another program."""
    command = [*through, sys.executable, "-c", code, str(folder)]
    return subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True)


def under_strace(call: str, error: str) -> list[str]:
    """Prefix of a command that makes system calls of one kind fail."""
    return ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={error}"]


def skip_without_strace(done: subprocess.CompletedProcess) -> None:
    if "strace: " in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.splitlines()[0]}")


def write(path: Path, format: str = FORMAT) -> None:
    with written_hdf5(path) as file:
        file["values"] = np.arange(5)
        file.attrs["format"] = format


def test_a_file_above_the_size_limit_raises_and_leaves_nothing(tmp_path):
    done = python(UNDER_LIMITS, tmp_path / "x.h5")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["left"] == []
    assert found["refused"] == found["limits"] > 50
    with open_hdf5(tmp_path / "x.h5") as file:
        assert file["wide"][-1].tolist() == [597, 598, 599]
        assert file["words"].asstr()[:].tolist() == ["one", "two"]


@needs_strace
def test_a_disk_that_is_full_for_a_moment_leaves_nothing(tmp_path):
    # From the 20th on every 7th write fails, and it alone: over the files each kind of write is hit.
    done = python(MANY, tmp_path, under_strace("pwrite64", "ENOSPC:when=20+7"))
    skip_without_strace(done)
    assert done.returncode == 0, done.stderr
    refused = set(done.stdout.split())
    assert 20 < len(refused) < 40
    files = sorted(tmp_path.iterdir())
    assert {path.stem for path in files} == set(map(str, range(40))) - refused
    for path in files:
        with open_hdf5(path) as file:
            assert all(file[name][:].tolist() == [7] * 20 + list(range(20, 40)) for name in "abc")


WITHOUT_LOCKS = """
import sys
from pathlib import Path
from gensis.images.sources import lock_if_possible
from gensis.images.store import Store, write_store
from assign_gpus import take
folder = Path(sys.argv[1])
write_store(folder / "x.h5", [b"image"], {})
print(Store(folder / "x.h5").read(0, 1))
with open(folder / "lock", "w") as lock:
    lock_if_possible(lock.fileno())
print(take(["GPU"], 1, folder))
"""


@needs_strace
@pytest.mark.parametrize("error", ["ENOLCK", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_no_error(tmp_path, error):
    done = python(WITHOUT_LOCKS, tmp_path, under_strace("flock", error))
    skip_without_strace(done)
    assert done.stdout.splitlines() == ["[b'image']", "[]"]
    assert "jobs may share a GPU: set TMPDIR to a local disk" in done.stderr


def test_reading_and_writing_take_no_lock(tmp_path):
    with written_hdf5(tmp_path / "x.h5") as file:
        assert file.id.get_access_plist().get_file_locking() == (False, False)
        file["values"] = np.arange(5)
        file.attrs["format"] = FORMAT
    with open(tmp_path / "x.h5", "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as a program does that has it open for writing
        with pytest.raises(BlockingIOError):
            h5py.File(tmp_path / "x.h5")
        with open_hdf5(tmp_path / "x.h5", FORMAT) as file:
            assert file["values"][-1] == 4


def test_a_file_that_this_process_has_locked_can_be_read(tmp_path):
    write(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5"), open_hdf5(tmp_path / "x.h5", FORMAT) as file:
        assert file["values"][-1] == 4


def opening_error(path: Path) -> str:
    """The error message, without the path, of opening a file."""
    with pytest.raises(UserError) as error:
        open_hdf5(path, FORMAT)
    assert str(error.value).startswith(f"{path} ")
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{path} ")


def test_each_error_has_its_own_line_and_only_damaged_files_are_to_be_deleted(tmp_path):
    path = tmp_path / "x.h5"
    assert opening_error(path) == "does not exist: run the pipeline again to create it"
    path.mkdir()
    assert opening_error(path) == "cannot be read (Is a directory): fix this error, keep the file, and run again"
    assert "(Input/output error): fix this error, keep the file" in opening_error(Path("/proc/self/mem"))
    path.rmdir()
    with h5py.File(path, "w", libver="latest", locking=False) as file:
        file["values"] = 1
        file.flush()
        shutil.copy(path, tmp_path / "open.h5")  # marked as being written by a program
    assert "(Unable to synchronously open file (file is already open for write" in opening_error(tmp_path / "open.h5")
    assert "keep the file" in opening_error(tmp_path / "open.h5")
    path.write_text("version https://git-lfs.github.com/spec/v1")
    assert opening_error(path) == "is not an HDF5 file (wrong signature): move it elsewhere and run again"
    write(path)
    os.truncate(path, path.stat().st_size - 100)
    assert opening_error(path).startswith("is damaged (Unable to synchronously open file (truncated file: ")
    assert opening_error(path).endswith("): delete it and run again")


@pytest.mark.parametrize(
    ("format", "line"),
    [
        (
            "gensis-x/10",
            "was made by a newer version (gensis-x/10; this version reads gensis-x/2): update the pipeline",
        ),
        (
            "gensis-x/1",
            "was made by an older version (gensis-x/1; this version reads gensis-x/2): delete it and run again",
        ),
        (
            "gensis-y/2",
            "is not gensis-x/2 (its format: gensis-y/2): correct the path, or move it elsewhere and run again",
        ),
        ("", "is not gensis-x/2 (its format: none): correct the path, or move it elsewhere and run again"),
    ],
)
def test_other_formats_newer_and_older_versions_are_distinguished(tmp_path, format, line):
    write(tmp_path / "x.h5", format)
    assert opening_error(tmp_path / "x.h5") == line


def test_a_missing_dataset_in_an_open_file_is_reported_as_damage(tmp_path):
    write(tmp_path / "x.h5")
    damage = pytest.raises(UserError, match=r"is damaged .*'absent'.*: delete it")
    with open_hdf5(tmp_path / "x.h5") as file, damage, reading(tmp_path / "x.h5"):
        file["absent"]
