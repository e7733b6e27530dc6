"""Samples the images of a step as a function of seed and step, so that resuming needs no state."""

from functools import lru_cache

import numpy as np
import torch

from gensis.errors import UserError
from gensis.training.permutation import mixed_key, permuted

WINDOW = 1 << 20
"""Largest number of images whose epoch is one random permutation."""
RUN = 64
"""With more images, runs of this many consecutive rows, which are stored together, stay near each other."""


class Sampler:
    """Epochs of shuffled rows without replacement; the last incomplete batch of an epoch is dropped.

    Up to `WINDOW` images all orders are equally likely. With more images, an epoch is a random order of runs of `RUN`
    consecutive rows, divided into equal windows of at most `WINDOW` images, each of which is shuffled: runs are read
    together, and few units are read at a time. No state is stored, and all steps cost the same.

    A batch is nearly as mixed as by a full shuffle: of 100 million images in 20,000 units of equal size, 1,024 images
    come from 97 % as many units (969 instead of 998). The order does not depend on whether images are cached.
    """

    def __init__(
        self,
        images: int,
        batch_size: int,
        *,
        seed: int,
        rank: int = 0,
        world: int = 1,
        first_rows: np.ndarray | None = None,
    ):
        """Sample ``batch_size`` of ``images`` rows per step, over all processes.

        Args:
            images: number of rows.
            batch_size: over all processes, limited to ``images``.
            seed: of all permutations.
            rank: of this process, which gets every ``world``-th row of a batch.
            world: number of processes; if it does not divide the batch, the first processes get one row more.
            first_rows: int64 (units + 1,), first row of each unit and end of the last. If given, units give equally
                many images per epoch, whose length does not change. Each unit repeats shuffled passes through its
                images: images of small units are seen often, those of large units over several epochs.

        Raises:
            UserError: a process would get no image.
        """
        self.images = images
        self.batch_size = min(batch_size, images)
        if self.batch_size < world:
            raise UserError(
                f"a batch has {self.batch_size} images for the {world} processes that train together, and each needs "
                "one: raise batch_size, or train with fewer GPUs"
            )
        self.steps_per_epoch = images // self.batch_size
        self.seed = seed
        self.rank = rank
        self.world = world
        self.first_rows = first_rows

    def rows(self, step: int) -> torch.Tensor:
        """int64 rows of this process at a step. The batch over all processes does not depend on their number."""
        epoch, number = divmod(step, self.steps_per_epoch)
        first = number * self.batch_size
        if self.images <= WINDOW and self.first_rows is None:
            batch = _permutation(self.images, self.seed, epoch)[first : first + self.batch_size]
        else:
            places = self._mixed_in_windows(np.arange(first, first + self.batch_size), epoch)
            rows = self._in_runs(places, epoch) if self.first_rows is None else self._balanced(places, epoch)
            batch = torch.from_numpy(rows)
        return batch[self.rank :: self.world]

    def _mixed_in_windows(self, places: np.ndarray, epoch: int) -> np.ndarray:
        """Permute int64 (n,) places of an epoch within their windows."""
        windows = -(-self.images // WINDOW)
        window = ((places + 1) * windows - 1) // self.images
        first, end = self.images * window // windows, self.images * (window + 1) // windows
        return first + permuted(places - first, end - first, mixed_key(self.seed, epoch, 0, window))

    def _in_runs(self, places: np.ndarray, epoch: int) -> np.ndarray:
        """Rows at int64 (n,) places of an epoch of permuted runs; rows of the incomplete last run keep their place."""
        runs = self.images // RUN
        run, offset = np.divmod(places, RUN)
        return np.where(run < runs, permuted(run % runs, runs, mixed_key(self.seed, epoch, 1)) * RUN + offset, places)

    def _balanced(self, places: np.ndarray, epoch: int) -> np.ndarray:
        """Rows at int64 (n,) places of an epoch in which all units take turns, continued across epochs."""
        turn, unit = np.divmod(epoch * self.images + places, len(self.first_rows) - 1)
        count = np.diff(self.first_rows)[unit]
        round_of_unit, number = np.divmod(turn, count)
        return self.first_rows[unit] + permuted(number, count, mixed_key(self.seed, 2, unit, round_of_unit))


@lru_cache(maxsize=2)
def _permutation(images: int, seed: int, epoch: int) -> torch.Tensor:
    # NumPy's generators use all bits of seed and epoch; torch's CPU generator reads the low 32 bits of one number.
    return torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(images))
