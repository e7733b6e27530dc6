"""Kill each stage of a tiny study, give the same command again, and compare with an undisturbed run.

The study runs once undisturbed. For each stage, a copy of that run loses the results of one job, and Snakemake is asked
for them and killed, again and again, until the stage's kills are done. Moments are drawn from the processor time of the
job. `tests/faults/run.sh` starts it.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "workflow" / "scripts")]

from tests.faults.killed_job import KINDS  # noqa: E402
from tests.faults.killed_study import STAGES, make_study  # noqa: E402
from tests.faults.processes import Kill, run  # noqa: E402
from tests.faults.same_results import contents  # noqa: E402
from tests.workflow.clone import copy_repository  # noqa: E402

from gensis.artifacts.temporary import temporary_files  # noqa: E402


@dataclass
class Kills:
    """The kills of one stage."""

    stage: str
    tried: Counter[str] = field(default_factory=Counter)
    """Kind -> number of kills."""
    last: str = ""
    """Kind of the last kill."""
    problem: str = ""
    """What was wrong after it, or with the results."""

    def do(self, clone: Path, config: Path, *, moments: int, dice: random.Random) -> None:
        """Give the same command until all kills are done and the results are there, or one was not survived."""
        target = f"results/{STAGES[self.stage].target}"
        remove_results(clone / "results", self.stage)
        undisturbed = run(clone, config, target, stage=self.stage)
        left = drawn_kills(undisturbed.seconds, moments, dice)
        begins_anew = True
        while not self.problem:
            if begins_anew:
                remove_results(clone / "results", self.stage)
            kill = left[0] if left else Kill("", 0)
            ended = run(clone, config, target, stage=self.stage, kill=kill)
            if any((clone / ".snakemake/locks").glob("*")):
                run(clone, config, "--unlock")
            if ended.left:
                self.problem = f"processes are left: {ended.left}"
            elif ended.is_killed:
                self.tried[kill.kind] += 1
                self.last = kill.kind
                del left[0]
            elif ended.status:
                self.problem = f"the same command failed: {clone / 'run.log'}"
            elif not left:
                return
            else:
                left[0] = Kill(kill.kind, 0.9 * kill.seconds)
            begins_anew = not ended.is_killed  # it resumed, and ended before the moment of the kill


def drawn_kills(seconds: float, moments: int, dice: random.Random) -> list[Kill]:
    """A kill at a drawn moment in each of as many equal parts of a job's time, the kinds in turn, in any order."""
    kinds = dice.sample(list(KINDS), len(KINDS))
    shares = [(part + dice.random()) / moments for part in range(moments)]
    return dice.sample([Kill(kinds[n % len(kinds)], share * seconds) for n, share in enumerate(shares)], moments)


def remove_results(results: Path, stage: str) -> None:
    """Remove the results of a job of the stage, and all checkpoints."""
    for path in results.glob(STAGES[stage].results):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(results / "tiny/checkpoints", ignore_errors=True)


def restore(clone: Path, finished: Path) -> None:
    """Give a clone the results of a finished run."""
    for name in ("results", ".snakemake"):
        shutil.rmtree(clone / name, ignore_errors=True)
        subprocess.run(["cp", "-a", finished / name, clone / name], check=True)


def differences(clone: Path, finished: Path) -> list[str]:
    """Results that differ between two runs, or that one of them lacks; temporary files, locks and checkpoints left."""
    one, other = contents(finished / "results"), contents(clone / "results")
    differing = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    checkpoints = (path for path in (clone / "results/tiny/checkpoints").glob("*/*/*") if path.name != "published")
    marks = (path for name in ("locks", "incomplete") for path in (clone / ".snakemake" / name).glob("*"))
    return [*differing, *map(str, (*temporary_files(clone / "results"), *checkpoints, *marks))]


def main() -> None:
    """Print the table; fail if a kill was not survived or anything is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--moments", type=int, default=len(KINDS), help="kills of each stage")
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=list(STAGES))
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gensis-kills-"))
    print(f"in {folder}", file=sys.stderr)
    config = make_study(folder)
    finished, clone = (copy_repository(folder / name) for name in ("undisturbed", "killed"))
    if run(finished, config, "all", "bank", "features", "geojson").status:
        sys.exit(f"the run failed: {finished / 'run.log'}")
    failed = False
    print("| stage | fault | tried | survived |\n|---|---|---|---|", flush=True)
    for stage in arguments.stages:
        restore(clone, finished)
        kills = Kills(stage)
        kills.do(clone, config, moments=arguments.moments, dice=random.Random(f"{arguments.seed} {stage}"))
        kills.problem = kills.problem or ", ".join(differences(clone, finished))
        for kind, tried in sorted(kills.tried.items()):
            print(f"| {stage} | {kind} | {tried} | {tried - bool(kills.problem and kind == kills.last)} |", flush=True)
        if kills.problem:
            failed = True
            print(f"{stage}, after {kills.last}: {kills.problem}", file=sys.stderr, flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
