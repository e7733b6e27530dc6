"""Kill each stage of a tiny study, give the same command again, and compare with an undisturbed run.

One run is killed again and again: its first stage in every way at several moments, then the next stage. The moments are
drawn from the processor time that the stage takes in the undisturbed run. `tests/faults/run.sh` starts it.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "workflow" / "scripts")]

from tests.faults.processes import cpu_seconds, jobs, running, start  # noqa: E402
from tests.faults.same_results import contents  # noqa: E402
from tests.workflow.clone import copy_repository, write_config  # noqa: E402
from tests.workflow.conftest import draw_slides, tiny_study  # noqa: E402

from gensis.artifacts.temporary import temporary_files  # noqa: E402

STAGES = {
    "tile_slide": "images/tissue/*.h5",
    "import_images": "images/photos/*.h5",
    "index_images": "images/*/*.tsv",
    "plot_slides": "images/tissue/slides.jpg",
    "pretrain_encoder": "tiny/encoders/dino/**/*",
    "embed_images": "tiny/embeddings/**/*",
    "train_autoencoder": "tiny/autoencoder/**/*",
    "train_diffusion": "tiny/diffusion/**/*",
    "generate_bank": "tiny/bank/default/*/*.h5",
    "filter_bank": "tiny/bank/default/*/filter/*",
    "retrain_encoder": "tiny/encoders/gen-dino/**/*",
    "evaluate_bank": "tiny/bank/default/*/quality.json",
    "evaluate_encoder": "tiny/evaluation/**/*",
    "track_knn": "tiny/evaluation/**/knn_history.csv",
    "summarize": "tiny/*.csv",
    "write_report": "tiny/report.html",
}
"""Stage -> its results."""
KINDS: dict[str, Callable[[int, int], None]] = {
    "SIGKILL to the job": lambda group, job: os.kill(job, signal.SIGKILL),
    "SIGTERM to the job": lambda group, job: os.kill(job, signal.SIGTERM),
    "Ctrl-C": lambda group, job: os.killpg(group, signal.SIGINT),
    "SIGKILL to the group": lambda group, job: os.killpg(group, signal.SIGKILL),
}
LONGEST_END_SECONDS = 300


def make_study(folder: Path) -> Path:
    """Draw slides and photos, and write the config of a study with all stages."""
    draw_slides(folder / "slides")
    dice = np.random.default_rng(0)
    for number in range(60):
        path = folder / "photos" / ("train", "test")[number % 3 == 0] / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dice.integers(0, 128 + 120 * (number % 2), (40, 40, 3), np.uint8)).save(path)
    study = tiny_study(folder / "slides")
    splits = {"train": "train", "test": "test"}
    study["datasets"]["photos"] = {"kind": "folder", "path": str(folder / "photos"), "image_px": 32, "splits": splits}
    study["evaluation"] = study["evaluation"] | {"datasets": ["tissue", "photos"]}
    study["pretraining"] = study["pretraining"] | {"epochs": 8}
    study["diffusion"] = study["diffusion"] | {"steps": 100}
    study["autoencoder"] = "train"
    study["autoencoder_training"] = {"channels": [8, 16], "steps": 80, "batch_size": 16, "warmup_steps": 10}
    return write_config(folder / "study.yaml", study | {"runtime": {"checkpoint_seconds": 0.2}})


def targets(stage: str) -> list[str]:
    """Arguments of Snakemake to run a stage and what it needs. `--until` ends at each rule, so they go one by one."""
    also = ["evaluate_encoder_on_slides"] if stage == "evaluate_encoder" else []
    return ["all", "--until", stage, *also]


def undisturbed(clone: Path, config: Path, stages: Sequence[str]) -> dict[str, float]:
    """Run the stages, and what they need, and kill nothing; the longest processor time of a job of each stage."""
    seconds = Counter()
    for target in stages:
        process = start(clone, config, *targets(target))
        while process.poll() is None:
            for stage, job in jobs(clone):
                seconds[stage] = max(seconds[stage], cpu_seconds(job))
            time.sleep(0.05)
        if process.returncode:
            sys.exit(f"the run failed: {clone / 'run.log'}")
    return seconds


@dataclass
class Kills:
    """The kills that are still to be done, and what came of those that were."""

    left: dict[str, list[tuple[str, float]]]
    """Stage -> kind of each kill, and the processor time of the job at which it comes."""
    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Those after which a process was left, or the same command failed."""

    def of_stage(self, stage: str, clone: Path, config: Path) -> None:
        """Give the same command until all kills of a stage are done, or one was not survived."""
        last = None
        while self.left[stage]:
            process = start(clone, config, *targets(stage))
            kind = self._kill_next(process, clone, stage)
            if not has_ended(process, clone):
                self.failed[kind, stage] += 1
                sys.exit(f"after {kind} in {stage}, processes are left: {list(running(clone))}")
            if any((clone / ".snakemake/locks").glob("*")):
                start(clone, config, "--unlock").wait()
            if kind is None and process.returncode:
                self.failed[last, stage] += 1
                print(f"after {last} in {stage}, the same command failed: {clone / 'run.log'}", file=sys.stderr)
                return
            if kind is None:  # it resumed, and ended before the moment of the next kill: it begins anew
                remove_results(clone / "results", stage)
            last = kind or last

    def _kill_next(self, process: subprocess.Popen, clone: Path, stage: str) -> str | None:
        """Wait for the moment of the stage's next kill and do it; the kind of kill, or None if the run ended before."""
        kind, moment = self.left[stage][0]
        while process.poll() is None:
            for name, job in jobs(clone):
                if name == stage and cpu_seconds(job) >= moment:
                    with contextlib.suppress(ProcessLookupError):  # it has just ended
                        KINDS[kind](process.pid, job)
                    self.tried[kind, stage] += 1
                    del self.left[stage][0]
                    return kind
            time.sleep(0.01)
        return None


def remove_results(results: Path, stage: str) -> None:
    """Remove the results of a stage, and all checkpoints."""
    for path in results.glob(STAGES[stage]):
        if path.is_file():
            path.unlink()
    shutil.rmtree(results / "tiny/checkpoints", ignore_errors=True)


def has_ended(process: subprocess.Popen, clone: Path) -> bool:
    """Wait until Snakemake and all its jobs have ended; False if they do not."""
    until = time.monotonic() + LONGEST_END_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None and not any(running(clone)):
            return True
        time.sleep(0.05)
    return False


def leftovers(clone: Path) -> list[Path]:
    """Temporary files, locks and checkpoints that a finished run should not have."""
    checkpoints = clone / "results/tiny/checkpoints"
    kept = (path for path in checkpoints.glob("*/*/*") if path.name != "published")
    marks = (path for name in ("locks", "incomplete") for path in (clone / ".snakemake" / name).glob("*"))
    return [*temporary_files(clone / "results"), *kept, *marks]


def drawn_kills(seconds: dict[str, float], stages: Sequence[str], *, moments: int, seed: int) -> Kills:
    """Kills of each stage: every kind at a drawn moment in each of as many equal parts of its time."""
    dice = random.Random(seed)
    left = {}
    for stage in stages:
        drawn = [(kind, (part + dice.random()) / moments) for part in range(moments) for kind in KINDS]
        dice.shuffle(drawn)
        left[stage] = [(kind, share * seconds[stage]) for kind, share in drawn]
    return Kills(left)


def differing_stages(reference: Path, killed: Path) -> dict[str, list[str]]:
    """Stage -> its files that differ between the results of two runs, or that only one of them has."""
    one, other = contents(reference), contents(killed)
    differing = {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
    of_stages = {}
    for stage, pattern in STAGES.items():
        paths = {str(path.relative_to(root)) for root in (reference, killed) for path in root.glob(pattern)}
        of_stages[stage] = sorted(differing & paths)
    return of_stages


def main() -> None:
    """Print the table; fail if a kill was not survived or anything is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--moments", type=int, default=2, help="moments of each stage and kind of kill")
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=list(STAGES))
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gensis-kills-"))
    print(f"in {folder}", file=sys.stderr)
    config = make_study(folder)
    reference, clone = (copy_repository(folder / name) for name in ("undisturbed", "killed"))
    seconds = undisturbed(reference, config, arguments.stages)
    kills = drawn_kills(seconds, arguments.stages, moments=arguments.moments, seed=arguments.seed)
    for stage in kills.left:
        kills.of_stage(stage, clone, config)
        print(f"{stage}: {sum(n for key, n in kills.tried.items() if stage in key)} kills", file=sys.stderr)
    undisturbed(clone, config, arguments.stages)
    differing = differing_stages(reference / "results", clone / "results")
    print("| fault | stage | tried | survived |\n|---|---|---|---|")
    for (kind, stage), tried in sorted(kills.tried.items()):
        survived = 0 if differing[stage] else tried - kills.failed[kind, stage]
        print(f"| {kind} | {stage} | {tried} | {survived} |")
    problems = [name for names in differing.values() for name in names] + list(map(str, leftovers(clone)))
    print(*(f"differs or is left: {name}" for name in problems), sep="\n", end="\n" if problems else "")
    sys.exit(bool(problems or kills.failed.total()))


if __name__ == "__main__":
    main()
