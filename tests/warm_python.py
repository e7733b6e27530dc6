"""Python programs that start fast, as forks of a process that has already imported the slow libraries.

`warm_python` returns an executable that replaces the Python interpreter, also for programs that start others:
`FILE script.py --key` does the same as `python script.py --key`, in a process of its own, but without seconds of
imports. Environment variables that libraries read at import have no effect; OMP_NUM_THREADS is 1. Tests that kill a
process, or check what a process imports, start Python itself.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "workflow" / "scripts"
PLANNING = ("pandas", "pydantic", "snakemake.cli", "yaml")
# Importing these imports all slow libraries of the scripts.
TRAINING = ("pretrain_encoder", "train_diffusion", "generate_bank", "evaluate_bank", "evaluate_encoder", "tile_slide")
LARGEST_ORDER = 1 << 20


@functools.cache
def warm_python(imported: tuple[str, ...] = TRAINING) -> Path:
    """Start the process to fork, once for all tests; it ends with them. On other systems than Linux, Python itself."""
    if sys.platform != "linux":  # macOS has no such sockets, and libraries there do not support a fork
        return Path(sys.executable)
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    address, program = folder / "socket", folder / "python"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{__file__}" run "{address}" "$0" "$@"\n')
    program.chmod(0o755)
    line = [sys.executable, "-W", "ignore::DeprecationWarning", __file__, "serve", str(address), *imported]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    atexit.register(server.stdin.close)
    assert server.stdout.readline()
    return program


def run(address: str, *line: str) -> int:
    """Send a command line to the server, to run with this process's files, folder, environment and cores.

    Returns:
        Its exit status.
    """
    order = json.dumps([line, os.getcwd(), dict(os.environ), list(os.sched_getaffinity(0))]).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(address)
        socket.send_fds(connection, [order], [0, 1, 2])
        return int(connection.recv(16) or 1)


def serve(address: str, *imported: str) -> None:
    """Import, then fork this process for each order, until standard input ends."""
    sys.path.insert(0, str(SCRIPTS))
    for name in imported:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # otherwise garbage collections in the forks would write to all memory, and so copy it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen(64)
        print("ready", flush=True)
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                follow(connection)
            connection.close()


def follow(connection: socket.socket) -> None:
    """Run an order in a fork of this process, and answer with its exit status. Does not return."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    order, files, _, _ = socket.recv_fds(connection, LARGEST_ORDER, 3)
    program = os.fork()
    if program == 0:
        connection.close()
        become(*json.loads(order), files)
    status = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
    with contextlib.suppress(BrokenPipeError):  # the one who asked was killed
        connection.send(str(status).encode())
    os._exit(0)


def become(line: list[str], folder: str, environment: dict[str, str], cores: list[int], files: list[int]) -> None:
    """Become the program of a command line, and end like it, but without freeing memory that is shared."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    os.chdir(folder)
    os.sched_setaffinity(0, cores)
    os.environ.clear()
    os.environ.update(environment)
    sys.executable, *sys.argv = line
    if sys.argv[0] == "-u":  # passed by torchrun; standard error is unbuffered anyway
        del sys.argv[0]
    status = 0
    try:
        python_path = environment.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:1] = [str(Path(sys.argv[0]).parent.absolute()), *filter(None, python_path)]
        if sys.argv[0] == "-m":
            del sys.argv[0]
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        elif sys.argv[0] == "-c":
            exec(sys.argv.pop(1), {"__name__": "__main__"})
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    sys.exit({"run": run, "serve": serve}[sys.argv[1]](*sys.argv[2:]))
