#!/usr/bin/env python3
"""Set up the pipeline and run it; needs only Python.

    python3 bootstrap.py demo     run config/demo.yaml from slides to report; further arguments go to snakemake
    python3 bootstrap.py test     run the tests but the slow ones; further arguments go to pytest, such as -m slow

The first call creates .venv beside this file and installs the packages of envs/; later calls install only changes.
With --here the current environment is used instead, and nothing is installed.
"""

# Only syntax and modules of Python 3.6, so that an old Python prints the error message instead of a syntax error.

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).absolute().parent
ENVS = ROOT / "envs"
VENV = ROOT / ".venv"
VENV_PYTHON = str(VENV / "bin" / "python")
LOG = VENV / "install.log"
STAMP = VENV / "installed"  # holds the hash of the installed requirements, or UNFINISHED
UNFINISHED = "unfinished"
REPORT = ROOT / "results" / "demo" / "report.html"

PYTHONS = ("3.13", "3.12", "3.11")
NEEDED_BYTES = 10 * 10**9
NEEDED_FILES = {"demo": ["requirements.txt"], "test": ["requirements.txt", "requirements-dev.txt"]}
COMMANDS = {
    # --configfile takes all following arguments up to the next option, so it must not be last.
    "demo": ["snakemake", "--configfile", "config/demo.yaml", "--cores", "all"],
    "test": ["pytest"],
}


def main(arguments):
    """Run the command that ``arguments`` name and return its exit status. Exits with one line after a user error."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__.strip())
        return 0
    if not arguments or arguments[0] not in COMMANDS:
        sys.exit("error: no such command: use `python3 bootstrap.py demo` or `python3 bootstrap.py test`")
    if os.name == "nt":
        sys.exit("error: Windows is not supported: install WSL2 (`wsl --install`) and run this command inside it")
    check_cache()
    command, here = arguments[0], "--here" in arguments
    if here:
        check_here(NEEDED_FILES[command])
    else:
        install()
    python = sys.executable if here else VENV_PYTHON
    status = run([python, "-m", *COMMANDS[command], *(word for word in arguments[1:] if word != "--here")])
    if command == "demo" and status == 0 and REPORT.exists():
        print(f"The report is {REPORT}")
    return status


def check_cache():
    """Exit with one line if Snakemake cannot write its cache: it would fail with a traceback before the Snakefile."""
    if sys.platform != "linux":
        return
    cache = Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache"))
    try:
        if not cache.is_absolute():
            raise OSError("this user has no home directory")
        (cache / "snakemake").mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=str(cache / "snakemake")).close()
    except OSError as error:
        fix = "run `export XDG_CACHE_HOME=FOLDER` with a writable folder, then repeat this command"
        sys.exit(f"error: Snakemake cannot write its cache in {cache} ({error.strerror or error}): {fix}")


def check_here(files):
    """Exit with one line unless this Python is supported and has the packages that ``files`` of envs/ name."""
    if not has(sys.executable, "sys"):
        sys.exit(f"error: --here needs Python 3.11 to 3.13, this is {sys.version.split()[0]}: omit --here")
    from importlib.metadata import distributions

    lines = [line for file in files for line in (ENVS / file).read_text().splitlines()]
    needed = [line.split("==")[0] for line in lines if "==" in line]
    missing = [name for name in needed if not list(distributions(name=name))]
    if missing:
        fix = f"run `{sys.executable} -m pip install -r {ENVS / files[-1]}`, or omit --here"
        sys.exit(f"error: the current environment lacks {', '.join(missing)}: {fix}")


def has(python, module):
    """Whether ``python`` has a version in PYTHONS and can import ``module``."""
    question = "import sys, importlib.util as u; print('%d.%d' % sys.version_info[:2], u.find_spec(sys.argv[1]))"
    try:
        answer = subprocess.check_output([python, "-c", question, module], stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return False
    version, found = answer.decode().strip().split(None, 1)
    return version in PYTHONS and found != "None"


def find_python():
    """Path of a Python that can create environments: this one or one on PATH. Exits with one line if there is none."""
    candidates = [sys.executable, *(shutil.which("python" + version) for version in PYTHONS)]
    fitting = [python for python in candidates if python and has(python, "sys")]
    if not fitting:
        sys.exit(
            f"error: this is Python {sys.version.split()[0]}, and PATH has no Python 3.11 to 3.13: install python3.12"
        )
    for python in fitting:
        if has(python, "ensurepip"):
            return python
    sys.exit(
        f"error: {fitting[0]} has no module venv: run `apt install python3-venv` (Debian, Ubuntu), then repeat this"
    )


def install():
    """Install the packages of envs/ into .venv if they have changed. Exits with one line if disk or network fail."""
    os.environ.pop("PYTHONPATH", None)  # set by environment modules of clusters, and searched before .venv
    files = [ENVS / name for name in (*NEEDED_FILES["test"], "constraints.txt")]
    wanted = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    state = STAMP.read_text() if STAMP.exists() else ""
    usable = state != UNFINISHED and has(VENV_PYTHON, "pip")
    if usable and state == wanted:
        return
    python = VENV_PYTHON if usable else find_python()
    if shutil.disk_usage(str(VENV if VENV.is_dir() else ROOT)).free < NEEDED_BYTES:
        sys.exit(f"error: less than 10 GB free for {VENV}: free disk space, or make .venv a link to a larger disk")
    print(f"Installing into {VENV}: about 3 GB to download and 6 GB on disk, once (log: {LOG})", flush=True)
    if not usable and subprocess.call([python, "-m", "venv", "--clear", "--without-pip", str(VENV)]) != 0:
        sys.exit(f"error: {python} could not create {VENV}, see above: fix this Python, or put another one on PATH")
    STAMP.write_text(UNFINISHED)  # after a killed installation, the next call starts from an empty .venv
    if not usable:
        logged([VENV_PYTHON, "-m", "ensurepip"])
    options = ["--no-input", "--progress-bar", "off", "-r", str(files[1]), "-c", str(files[2])]
    logged([VENV_PYTHON, "-m", "pip", "install", *options])
    STAMP.write_text(wanted)


def logged(command):
    """Run a step of the installation with its output in LOG. If it fails, print the end of LOG and exit."""
    downloads = VENV / "downloads"  # /tmp is often too small for them
    downloads.mkdir(exist_ok=True)
    with LOG.open("ab") as log:
        status = subprocess.call(command, stdout=log, stderr=log, env=dict(os.environ, TMPDIR=str(downloads)))
    shutil.rmtree(str(downloads))
    if status != 0:
        print(*LOG.read_text(errors="replace").splitlines()[-15:], sep="\n", file=sys.stderr)
        sys.exit(f"error: the installation failed (log: {LOG}): check network and disk, then repeat this command")


def run(command):
    """Run a command in the repository and return its exit status. The command itself handles Ctrl-C and SIGTERM."""
    path = os.path.dirname(command[0]) + os.pathsep + os.environ.get("PATH", os.defpath)
    signal.signal(signal.SIGINT, lambda *_: None)  # the terminal also sends it to the command, which has to clean up
    process = subprocess.Popen(command, cwd=str(ROOT), env=dict(os.environ, PATH=path))
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    status = process.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("error: interrupted: repeat the command to continue")
