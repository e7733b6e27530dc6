"""The loop of every training: steps, history, checkpoints and signals. A `Task` defines the steps."""

import csv
import logging
import math
import signal
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from gensis.artifacts.files import written_atomically
from gensis.artifacts.folders import move_folder
from gensis.command import on_signals
from gensis.errors import UserError
from gensis.progress import time_left
from gensis.training.checkpoints import RETRAIN, CheckpointFolder
from gensis.training.distributed import World
from gensis.training.events import Events

log = logging.getLogger(__name__)

PREFETCHED_STEPS = 2
"""Number of steps that a task prefetches."""

Watch = Callable[[dict[str, float]], dict[str, float]]
"""Called with each new row of the history, in every process; returns further columns for it."""


class Task(Protocol):
    """A training in steps. All random numbers of a step are drawn from torch's global generators."""

    total_steps: int
    steps_per_row: int
    """Number of steps that a row of the history averages."""
    images_per_step: int

    def step(self, step: int) -> dict[str, torch.Tensor | float]:
        """Do step number ``step`` (from 0) and return scalars for the history, without waiting for the device."""

    def state_dict(self) -> dict[str, Any]:
        """The whole training state. All processes call it; the result of the first is saved."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Seed of one step in one process, so that a resumed training draws the same numbers."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)


def train(
    task: Task,
    folder: CheckpointFolder,
    world: World,
    device: torch.device,
    *,
    seed: int,
    checkpoint_seconds: float,
    watch: Watch = lambda row: {},
    events: Path | None = None,
) -> list[dict[str, float]]:
    """Train to the end, from the last checkpoint if there is one.

    SIGINT (Ctrl-C), SIGTERM and SIGUSR1 save a checkpoint and end the process with status 1; the same command resumes
    from it.

    Args:
        task: the training.
        folder: of its checkpoints.
        world: this process among all.
        device: of the task.
        seed: of the random numbers of the steps.
        checkpoint_seconds: time between two checkpoints.
        watch: see `Watch`.
        events: folder for TensorBoard.

    Returns:
        The history: a row for every ``task.steps_per_row`` steps with the means of their scalars.

    Raises:
        UserError: a loss or another scalar is not finite, which is never saved; or the processes have different
            checkpoints.
    """
    meter = _Meter(task, world, device)
    step, history = _resume(task, folder, world, meter)
    tensorboard = Events(events if world.is_first else None, step)
    pace = _Pace(world, checkpoint_seconds)
    began, began_at = time.monotonic(), step
    while step < task.total_steps:
        torch.manual_seed(step_seed(seed, step, world.rank))
        meter.add(task.step(step))
        step += 1
        if step % task.steps_per_row == 0 or step == task.total_steps:
            row = meter.row()
            row |= watch(row)
            left = time_left(step - began_at, task.total_steps - began_at, time.monotonic() - began)
            _log_row(row, task.total_steps, left)
            history.append(row)
            tensorboard.add(row)
            meter.go_on(step, {})  # after `watch`, whose time must not count for the steps
        stopping, saving = pace.after_step()
        if stopping or (saving and step < task.total_steps):
            meter.check()  # steps do not synchronise with the device, so values that are not finite are found here
            _save(task, folder, world, {"step": step, "history": history, "sums": meter.sums})
        if stopping:
            world.any(False)  # soon after one process ends, torchrun kills the others, and the first may still write
            sys.exit(f"stopped by a signal after step {step}: run the same command to resume")
    return history


def _resume(task: Task, folder: CheckpointFolder, world: World, meter: "_Meter") -> tuple[int, list[dict[str, float]]]:
    """Restore the last checkpoint, if there is one; return the number of steps that are done, and the history."""
    state = folder.load()
    step = state["step"] if state else 0
    if any(world.any(step != world.largest(step))):
        raise UserError(
            f"{folder.path}: the processes of this training have checkpoints of different steps, this one of {step}: "
            "checkpoints must lie on a disk that all nodes share (GENSIS_CHECKPOINTS)"
        )
    if state is None:
        return 0, []
    task.load_state_dict(state["task"])
    meter.go_on(state["step"], state["sums"])
    log.info("resuming from step %d of %d", state["step"], task.total_steps)
    return state["step"], state["history"]


def _save(task: Task, folder: CheckpointFolder, world: World, progress: dict[str, Any]) -> None:
    state = task.state_dict()  # in every process, because all are needed to gather sharded weights
    if world.is_first:
        folder.save({"task": state, **progress})


def train_and_publish(folder: CheckpointFolder, world: World, output: Path, make: Callable[[Path], None]) -> None:
    """Publish the artifact of a training; train it first if there is none.

    Args:
        folder: checkpoint folder of the training.
        world: this process among all; only the first writes files.
        output: the folder to publish to.
        make: trains, and writes the artifact into the folder that is its argument.
    """
    with folder if world.is_first else nullcontext():
        (trained,) = world.any(world.is_first and folder.has_result())
        if trained:
            log.info(
                "already trained with the same recipe, settings, images and seed: %s is published again; "
                "to retrain, set %s=%s or remove that folder",
                folder.published,
                RETRAIN,
                folder.stage,
            )
        else:
            unfinished = folder.begin() if world.is_first else Path()
            make(unfinished)
            if world.is_first:
                move_folder(unfinished, folder.published)
        if world.is_first:
            folder.publish(output)


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """Write the history as CSV, one column per scalar."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    with written_atomically(path) as temporary, open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _written(value) for name, value in row.items()} for row in history)


def _written(value: float) -> str:
    """Numbers of steps in full, measurements with six digits."""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


class _Meter:
    """Averages the scalars of steps into rows. It synchronises with the device only for a row or a check."""

    def __init__(self, task: Task, world: World, device: torch.device):
        self._task, self._world, self._device = task, world, device
        self.go_on(0, {})

    def go_on(self, step: int, sums: dict[str, torch.Tensor | float]) -> None:
        """Continue after ``step`` steps with the sums of the current row."""
        self.sums = {name: each.to(self._device) if torch.is_tensor(each) else each for name, each in sums.items()}
        self._step = step
        self._began, self._began_at = time.monotonic(), step

    def add(self, figures: dict[str, torch.Tensor | float]) -> None:
        """Add the scalars of one step."""
        for name, value in figures.items():
            value = value.detach() if isinstance(value, torch.Tensor) else value
            self.sums[name] = self.sums.get(name, 0) + value
        self._step += 1

    def row(self) -> dict[str, float]:
        """Means since the last row over all processes, with the last step and the images per second."""
        names = sorted(self.sums)
        totals = [torch.as_tensor(self.sums[name], dtype=torch.float32, device=self._device) for name in names]
        means = self._world.mean(torch.stack(totals) / self._summed).tolist()
        figures = dict(zip(names, means))
        _refuse_if_not_finite(figures, self._step, self._summed)
        rate = (self._step - self._began_at) / max(time.monotonic() - self._began, 1e-9)
        return {"step": self._step, **figures, "images_per_second": rate * self._task.images_per_step}

    def check(self) -> None:
        """Raise UserError if a sum is not finite."""
        _refuse_if_not_finite({name: float(value) for name, value in self.sums.items()}, self._step, self._summed)

    @property
    def _summed(self) -> int:
        """Number of steps in the sums, including steps before a training was stopped and resumed."""
        return (self._step - 1) % self._task.steps_per_row + 1


class _Pace:
    """Decides when to save and when to stop; the same in all processes."""

    def __init__(self, world: World, checkpoint_seconds: float):
        self._world, self._seconds = world, checkpoint_seconds
        self._saved, self._stop = time.monotonic(), False
        on_signals((signal.SIGINT, signal.SIGTERM, signal.SIGUSR1), self._note)

    def after_step(self) -> tuple[bool, bool]:
        """Whether to stop, and whether to save. All processes agree on it after every step; GPUs do not wait."""
        now = time.monotonic()
        stop, save = self._world.any(self._stop, now - self._saved >= self._seconds)
        if save:
            self._saved = now
        return stop, save

    def _note(self, number: int, frame: object) -> None:
        self._stop = True


def _refuse_if_not_finite(figures: dict[str, float], step: int, steps: int) -> None:
    """Stop before bad weights are saved. A bad gradient is seen in its norm one step before it is seen in the loss.

    Args:
        figures: name -> sum or mean over the last steps.
        step: number of the last step, from 1.
        steps: number of steps in the sum.
    """
    name = next((each for each in ("loss", *figures) if not math.isfinite(figures.get(each, 0.0))), None)
    if name:
        # Changed settings have another fingerprint, so the new training does not use the checkpoints of this one, whose
        # weights are finite but may be spoilt.
        raise UserError(
            f"{name} is {figures[name]} within steps {step - steps + 1} to {step}: lower learning_rate or set "
            "precision: float32, and run again: this starts a new training at step 0; "
            "`snakemake clean` lists the checkpoints of this one"
        )


def _log_row(row: dict[str, float], total_steps: int, left: str) -> None:
    figures = ", ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "step")
    log.info("step %d of %d: %s; %s left", row["step"], total_steps, figures, left)
