"""The order of training images of a diffusion model or an autoencoder, and how often its history is written."""

import torch

from gensis.training.distributed import World
from gensis.training.sampler import Sampler

HISTORY_ROWS = 100
"""Rows of the history of a whole training: the number of points in a curve."""


class ShuffledRows:
    """Shuffled epochs of full batches. If a batch is larger than the data set, images repeat within it."""

    def __init__(self, images: int, batch_size: int, seed: int, world: World):
        """Draw ``batch_size`` of ``images`` rows per step, over all processes, in an order that depends on ``seed``."""
        self.images = images
        repeats = -(-batch_size // images)
        self._sampler = Sampler(repeats * images, batch_size, seed=seed, rank=world.rank, world=world.size)
        self.batch_size = self._sampler.batch_size

    def rows(self, step: int) -> torch.Tensor:
        """Rows (int64) of this process at a step."""
        return self._sampler.rows(step) % self.images


def steps_per_row(steps: int) -> int:
    """Number of steps that one row of the history averages over, in a training of ``steps`` steps."""
    return max(steps // HISTORY_ROWS, 1)
