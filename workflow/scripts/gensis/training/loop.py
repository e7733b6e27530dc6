"""The loop of every training: steps, history, checkpoints, signals. What a step does is the task's business."""

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
from gensis.command import duration
from gensis.errors import UserError
from gensis.training.checkpoints import RETRAIN, CheckpointFolder
from gensis.training.distributed import World
from gensis.training.events import Events

log = logging.getLogger(__name__)

PREFETCHED_STEPS = 2
"""How far ahead a task begins to read."""


class Task(Protocol):
    """Something that is trained step by step. All its randomness in a step comes from torch's global generators."""

    total_steps: int
    steps_per_row: int
    """Steps that one row of the history averages over."""
    images_per_step: int

    def step(self, step: int) -> dict[str, torch.Tensor | float]:
        """Do step number ``step`` (from 0) and return scalars for the history, without waiting for the device."""

    def state_dict(self) -> dict[str, Any]:
        """All that changes in training. Called in every process at once; the first one's answer is saved."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Seed of one step on one process: equal steps draw equal numbers, whatever came before."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)


def train(
    task: Task,
    folder: CheckpointFolder,
    world: World,
    device: torch.device,
    seed: int,
    checkpoint_seconds: float,
    watch: Callable[[dict[str, float]], dict[str, float]] = lambda row: {},
    events: Path | None = None,
) -> list[dict[str, float]]:
    """Train to the end, from the last checkpoint if there is one.

    SIGTERM and SIGUSR1 save a checkpoint and end the process with status 1; the same command goes on from there.

    Args:
        task: what is trained.
        folder: of its checkpoints.
        world: this process among all.
        device: that the task works on.
        seed: of the random numbers of the steps.
        checkpoint_seconds: between two checkpoints.
        watch: gets each new row of the history, in every process, and returns further figures for it.
        events: folder for TensorBoard, which follows the history while it grows.

    Returns:
        The history: a row every ``task.steps_per_row`` steps, with means of what the steps returned.

    Raises:
        UserError: a loss or another figure that is not finite; the last checkpoint from before it is kept.
    """
    state = folder.load(device)
    step, history, meter = 0, [], _Meter(task, world, device)
    if state:
        task.load_state_dict(state["task"])
        step, history = state["step"], state["history"]
        meter.go_on(step, state["sums"])
        log.info("going on from step %d of %d", step, task.total_steps)
    followed = Events(events if world.is_first else None, step)
    pace = _Pace(world, checkpoint_seconds)
    began, began_at = time.time(), step
    while step < task.total_steps:
        torch.manual_seed(step_seed(seed, step, world.rank))
        meter.add(task.step(step))
        step += 1
        if step % task.steps_per_row == 0 or step == task.total_steps:
            row = meter.row()
            row |= watch(row)
            _log_row(row, task.total_steps, (time.time() - began) / (step - began_at))
            history.append(row)
            followed.add(row)
            meter.go_on(step, {})  # after the look at it, whose time is not that of steps
        stopping, saving = pace.after(step)
        if stopping or (saving and step < task.total_steps):
            meter.check()  # steps do not wait for the device to look: what went wrong since the last row is found here
            state = task.state_dict()  # in every process: where weights are sharded, it takes all to gather them
            if world.is_first:
                folder.save({"task": state, "step": step, "history": history, "sums": meter.sums})
        if stopping:
            sys.exit(f"stopped by a signal after step {step}: run the same command to go on")
    return history


def train_and_publish(folder: CheckpointFolder, world: World, output: Path, make: Callable[[Path], None]) -> None:
    """Publish a finished training, training it first if need be.

    Args:
        folder: the training's own folder.
        world: only its first process touches files.
        output: the folder to publish to.
        make: trains, and writes the finished artifact into the folder that it is given.
    """
    with folder if world.is_first else nullcontext():
        (trained,) = world.any(world.is_first and folder.has_result())
        if trained:
            log.info(
                "trained before with the same recipe, settings, images and seed: %s is published again; "
                "to train anew, set %s=%s or remove that folder",
                folder.published,
                RETRAIN,
                folder.stage,
            )
        else:
            unfinished = folder.begin() if world.is_first else Path()
            make(unfinished)
            if world.is_first:
                unfinished.rename(folder.published)
        if world.is_first:
            folder.publish(output)


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """Write the history as CSV, one column a figure."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    with written_atomically(path) as temporary, open(temporary, "w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in history)


class _Meter:
    """Sums up what steps return to rows of means. Nothing waits for the device before a row or a check."""

    def __init__(self, task: Task, world: World, device: torch.device):
        self._task, self._world, self._device = task, world, device
        self.go_on(0, {})

    def go_on(self, step: int, sums: dict[str, torch.Tensor | float]) -> None:
        """After ``step`` steps, some of them summed up already."""
        self.sums, self._step = dict(sums), step
        self._began, self._began_at = time.time(), step

    def add(self, figures: dict[str, torch.Tensor | float]) -> None:
        """Add what one step returned."""
        for name, value in figures.items():
            value = value.detach() if isinstance(value, torch.Tensor) else value
            self.sums[name] = self.sums.get(name, 0) + value
        self._step += 1

    def row(self) -> dict[str, float]:
        """Means over all processes since the last row, with the last step and the images a second."""
        names = sorted(self.sums)
        totals = [torch.as_tensor(self.sums[name], dtype=torch.float32, device=self._device) for name in names]
        means = self._world.mean(torch.stack(totals) / self._summed).tolist()
        figures = dict(zip(names, means))
        _refuse_if_not_finite(figures, self._step, self._summed)
        rate = (self._step - self._began_at) / max(time.time() - self._began, 1e-9)
        return {"step": self._step, **figures, "images_per_second": rate * self._task.images_per_step}

    def check(self) -> None:
        """Refuse sums that are not finite."""
        _refuse_if_not_finite({name: float(value) for name, value in self.sums.items()}, self._step, self._summed)

    @property
    def _summed(self) -> int:
        """Steps in the sums, which may have begun before a training was stopped."""
        return (self._step - 1) % self._task.steps_per_row + 1


class _Pace:
    """When to save and when to stop: the same answer in all processes."""

    def __init__(self, world: World, checkpoint_seconds: float):
        self._world, self._seconds = world, checkpoint_seconds
        self._saved, self._stop = time.time(), False
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._note)

    def after(self, step: int) -> tuple[bool, bool]:
        """Whether to stop and whether to save after this step. Several processes agree on it every ten steps."""
        if self._world.size > 1 and step % 10:
            return False, False
        now = time.time()
        stop, save = self._world.any(self._stop, now - self._saved >= self._seconds)
        if save:
            self._saved = now
        return stop, save

    def _note(self, number: int, frame: object) -> None:
        self._stop = True


def _refuse_if_not_finite(figures: dict[str, float], step: int, steps: int) -> None:
    """Stop before spoilt weights are saved: a bad gradient shows in its norm a step before it shows in the loss.

    Args:
        figures: name -> sum or mean over the last steps.
        step: last of them, counted from 1.
        steps: how many they are.
    """
    wrong = next((name for name in ("loss", *figures) if not math.isfinite(figures.get(name, 0.0))), None)
    if wrong:
        where = f"within steps {step - steps + 1} to {step}"
        raise UserError(
            f"{wrong} is {figures[wrong]} {where}: lower learning_rate or use float32; "
            "the last checkpoint from before it is kept"
        )


def _log_row(row: dict[str, float], total_steps: int, seconds_per_step: float) -> None:
    figures = ", ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "step")
    left = duration((total_steps - row["step"]) * seconds_per_step)
    log.info("step %d of %d: %s; %s left", row["step"], total_steps, figures, left)
