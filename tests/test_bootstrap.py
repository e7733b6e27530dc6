"""bootstrap.py installs once, reports what is missing in one line, and passes on arguments and exit statuses.

The tests run in copies of the repository whose requirement files are empty, so nothing is downloaded.
"""

import ast
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A repository that needs no packages; its `pytest` and `snakemake` print their arguments."""
    (tmp_path / "envs").mkdir()
    shutil.copy(ROOT / "bootstrap.py", tmp_path)
    for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt"):
        (tmp_path / "envs" / name).write_text("# nothing\n")
    for tool in ("pytest", "snakemake"):
        (tmp_path / f"{tool}.py").write_text(
            "import os, sys\n"
            "print('started', __spec__.name, *sys.argv[1:], 'in', os.getcwd(), 'by', sys.prefix)\n"
            "sys.exit(int(os.environ.get('STATUS', 0)))\n"
        )
    return tmp_path


def call(copy: Path, *arguments: str, before: str = "", **environment: str) -> subprocess.CompletedProcess:
    """Call bootstrap.py from another folder, in its own process, after the statements ``before``."""
    program = f"import sys; sys.path.insert(0, {str(copy)!r}); import bootstrap, os; {before}\n"
    program += f"sys.exit(bootstrap.main({list(arguments)!r}))"
    return subprocess.run(
        [sys.executable, "-c", program], cwd="/", env=os.environ | environment, capture_output=True, text=True
    )


def assert_one_line(done: subprocess.CompletedProcess, *words: str) -> None:
    """The call failed with one line that contains ``words``, and installed nothing."""
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def python_of(version: str, modules: str, folder: Path) -> str:
    """An executable that answers like a Python of this version with these modules."""
    path = folder / f"python{version}"
    path.write_text(f'#!/bin/sh\ncase "{modules}" in *"$3"*) echo {version} found;; *) echo {version} None;; esac\n')
    path.chmod(0o755)
    return str(path)


def test_an_old_python_can_read_it():
    ast.parse((ROOT / "bootstrap.py").read_text(), feature_version=(3, 6))


def test_only_the_first_call_installs(copy):
    first, second = call(copy, "test"), call(copy, "test")
    assert first.returncode == second.returncode == 0, first.stderr
    assert f"Installing into {copy}/.venv" in first.stdout
    assert "Installing" not in second.stdout
    assert second.stdout == f"started pytest in {copy} by {copy}/.venv\n"


def test_a_changed_requirement_is_installed(copy):
    call(copy, "test")
    (copy / "envs" / "constraints.txt").write_text("numpy==2.4.6\n")
    assert "Installing" in call(copy, "test").stdout
    assert "Installing" not in call(copy, "test").stdout


def test_a_killed_installation_starts_again_from_an_empty_environment(copy):
    call(copy, "test")
    (copy / ".venv" / "installed").write_text("unfinished")
    (copy / ".venv" / "half a package").touch()
    assert "Installing" in call(copy, "test").stdout
    assert not (copy / ".venv" / "half a package").exists()


def test_a_failed_installation_prints_the_end_of_its_log_and_is_unfinished(copy):
    (copy / "envs" / "requirements.txt").write_text("")
    (copy / "envs" / "requirements-dev.txt").write_text("-r nowhere.txt\n")
    done = call(copy, "test")
    assert done.returncode != 0
    *log, last = done.stderr.splitlines()
    assert any("nowhere.txt" in line for line in log)
    assert last.startswith("error: the installation failed")
    assert (copy / ".venv" / "installed").read_text() == "unfinished"


def test_pythonpath_is_not_passed_on_to_the_environment(copy):
    call(copy, "test")
    (copy / "pytest.py").write_text("import os; print(os.environ.get('PYTHONPATH'))")
    assert call(copy, "test", PYTHONPATH="/elsewhere").stdout == "None\n"


def test_here_uses_the_current_python_and_installs_nothing(copy):
    done = call(copy, "test", "--here", "-k", "slides")
    assert done.stdout == f"started pytest -k slides in {copy} by {sys.prefix}\n"
    assert not (copy / ".venv").exists()


def test_here_names_the_missing_packages(copy):
    (copy / "envs" / "requirements.txt").write_text("numpy==2.4.6\nno-such-package==1.0\n")
    (copy / "envs" / "requirements-dev.txt").write_text("-r requirements.txt\nnor-this==2.0\n")
    assert_one_line(call(copy, "test", "--here"), "lacks no-such-package, nor-this", "requirements-dev.txt")
    assert "nor-this" not in call(copy, "demo", "--here").stderr


def test_the_demo_prints_the_path_of_its_report(copy):
    report = copy / "results" / "demo" / "report.html"
    report.parent.mkdir(parents=True)
    report.touch()
    done = call(copy, "demo", "--here", "-n")
    command = "started snakemake --configfile config/demo.yaml --cores all -n"
    assert done.stdout.splitlines()[0].startswith(command)
    assert done.stdout.splitlines()[1] == f"The report is {report}"


def test_the_exit_status_is_that_of_the_command(copy):
    assert call(copy, "test", "--here", STATUS="5").returncode == 5
    failed = call(copy, "demo", "--here", STATUS="1")
    assert failed.returncode == 1
    assert "report" not in failed.stdout


def test_the_command_handles_an_interrupt_itself(copy):
    (copy / "pytest.py").write_text(
        "import signal\n"
        "try:\n    print('ready', flush=True)\n    signal.pause()\n"
        "except KeyboardInterrupt:\n    print('cleaned up')\n    raise SystemExit(7)\n"
    )
    command = [sys.executable, str(copy / "bootstrap.py"), "test", "--here"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate()[0] == "cleaned up\n"
    assert process.returncode == 7


@pytest.mark.parametrize("arguments", [[], ["run"], ["--here"]])
def test_an_unknown_command_is_an_error_of_one_line(copy, arguments):
    assert_one_line(call(copy, *arguments), "bootstrap.py demo", "bootstrap.py test")


def test_native_windows_is_an_error_of_one_line(copy):
    assert_one_line(call(copy, "demo", before="os.name = 'nt'"), "WSL2")


@pytest.mark.skipif(sys.platform != "linux", reason="Snakemake uses another cache folder on other systems")
def test_a_read_only_home_is_an_error_of_one_line_before_the_installation(copy):
    done = call(copy, "demo", HOME="/dev/null", XDG_CACHE_HOME="")
    assert_one_line(done, "/dev/null/.cache (Not a directory)", "export XDG_CACHE_HOME=FOLDER")
    assert not (copy / ".venv").exists()
    assert_one_line(
        call(copy, "demo", before="os.path.expanduser = str", XDG_CACHE_HOME=""), "this user has no home directory"
    )
    elsewhere = {"HOME": "/dev/null", "XDG_CACHE_HOME": str(copy / "cache")}
    assert call(copy, "test", "--here", **elsewhere).stdout.startswith("started pytest")


def test_a_full_disk_is_an_error_of_one_line(copy):
    assert_one_line(call(copy, "test", before="bootstrap.NEEDED_BYTES = 10**18"), "10 GB", f"{copy}/.venv")


@pytest.mark.parametrize("version", ["3.10", "3.14"])
def test_no_supported_python_is_an_error_of_one_line(copy, version):
    old = python_of(version, "sys ensurepip", copy)
    done = call(copy, "test", before=f"sys.executable = {old!r}; os.environ['PATH'] = '/nowhere'")
    assert_one_line(done, "3.11 to 3.13", "install python3.12")
    assert_one_line(call(copy, "test", "--here", before=f"sys.executable = {old!r}"), "3.11 to 3.13", "--here")


def test_a_python_without_venv_is_an_error_of_one_line(copy):
    bare = python_of("3.11", "sys", copy)
    done = call(copy, "test", before=f"sys.executable = {bare!r}; os.environ['PATH'] = '/nowhere'")
    assert_one_line(done, bare, "apt install python3-venv")


def test_a_supported_python_on_path_replaces_an_unsupported_one(copy):
    old = python_of("3.9", "sys ensurepip", copy)
    bare, fitting = python_of("3.13", "sys", copy), python_of("3.12", "sys ensurepip", copy)
    before = f"sys.executable = {old!r}; os.environ['PATH'] = {str(copy)!r}; print(bootstrap.find_python()); sys.exit()"
    assert call(copy, before=before).stdout.strip() == fitting != bare
