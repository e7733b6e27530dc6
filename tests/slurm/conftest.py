"""A SLURM cluster of two nodes on this machine, which leaves nothing behind.

Its files are mounted for its own processes only, and each node has a host name of its own. Needs root, the packages
slurmctld, slurmd, slurm-client and munge, and the Python packages of envs/requirements-slurm.txt.
"""

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged", "unshare", "nsenter")
CONFIG = """
ClusterName=loop
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=26817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/{proctrack}
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=2
ReturnToService=2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port=26801 CPUs=16 RealMemory=400000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port=26802 CPUs=16 RealMemory=400000
PartitionName=cpu Nodes=n[1-2] Default=YES
"""


CGROUPS = """
CgroupMountpoint=/sys/fs/cgroup
CgroupPlugin=cgroup/v1
CgroupAutomount=no
ConstrainCores=no
ConstrainRAMSpace=no
ConstrainDevices=no
"""


class Cluster:
    """Runs commands where the cluster's files are mounted."""

    def __init__(self, folder: Path, proctrack: str):
        """A cluster that finds the processes of a job with a plugin: `linuxproc`, or, as most clusters, `cgroup`."""
        self._folder = folder
        self._processes: list[subprocess.Popen] = []
        config = CONFIG.format(host=socket.gethostname(), folder=folder, proctrack=proctrack)
        (folder / "slurm.conf").write_text(config)
        (folder / "cgroup.conf").write_text(CGROUPS)
        (folder / "hosts").write_text(Path("/etc/hosts").read_text() + "127.0.0.1 n1 n2\n")
        (folder / "munge.key").write_bytes(secrets.token_bytes(128))
        (folder / "munge.key").chmod(0o400)
        (folder / "state").mkdir()
        os.makedirs("/etc/slurm", exist_ok=True)

    def __enter__(self) -> "Cluster":
        mount = 'mount -t tmpfs none /etc/slurm && cp "$0"/*.conf /etc/slurm && mount --bind "$0"/hosts /etc/hosts'
        mounted = ["unshare", "--mount", "sh", "-ec", f"{mount} && echo mounted && exec cat", str(self._folder)]
        self._processes.append(subprocess.Popen(mounted, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert self._processes[0].stdout.readline() == "mounted\n"
        files = {name: self._folder / f"munge.{name}" for name in ("key", "socket", "pid", "log", "seed")}
        options = [f"--{name if name == 'socket' else f'{name}-file'}={path}" for name, path in files.items()]
        self.start("munged", "--foreground", "--force", *options)
        self.start("slurmctld", "-D", "-c")
        for node in ("n1", "n2"):
            self.start("unshare", "--uts", "sh", "-c", f"hostname {node} && exec slurmd -D -N {node}")
        self.run("srun", "--nodes=2", "--ntasks-per-node=1", "hostname")  # waits for both nodes
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self._processes[5:]:  # Snakemake, which would submit jobs again
            process.kill()
        self.run("scancel", "--user=root", check=False)
        while self.run("squeue", "--noheader", check=False).strip():
            time.sleep(1)
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def start(self, *command: str, folder: Path = Path(), **options) -> subprocess.Popen:
        """Start a command in a folder; its output goes to a log, unless given. It is killed with the cluster."""
        log = open(self._folder / f"{Path(command[0]).name}.log", "a")  # noqa: SIM115
        options = {"stdout": log, "stderr": subprocess.STDOUT, "text": True} | options
        mounted = ["nsenter", f"--mount=/proc/{self._processes[0].pid}/ns/mnt", f"--wd={folder.absolute()}"]
        self._processes.append(subprocess.Popen([*mounted, *command], **options))
        return self._processes[-1]

    def run(self, *command: str, check: bool = True, **options) -> str:
        """Run a command and return its output."""
        process = self.start(*command, stdout=subprocess.PIPE, **options)
        output = process.communicate()[0]
        assert not check or process.returncode == 0, output
        return output


@pytest.fixture(scope="session", params=["linuxproc", "cgroup"])
def cluster(tmp_path_factory, request):
    if os.geteuid() != 0:
        pytest.skip("a cluster of two nodes on this machine needs root")
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        pytest.skip(f"no {', '.join(missing)}: apt-get install slurmctld slurmd slurm-client munge")
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("no SLURM plugin: pip install -r envs/requirements-slurm.txt")
    if request.param == "cgroup" and not Path("/sys/fs/cgroup/freezer").is_dir():
        pytest.skip("proctrack/cgroup needs the freezer of cgroup v1, mounted at /sys/fs/cgroup/freezer")
    with Cluster(tmp_path_factory.mktemp("slurm"), request.param) as cluster:
        yield cluster
