"""In which order a diffusion model or an autoencoder sees its images, and when its history is written."""

import torch

from gensis.training.distributed import World
from gensis.training.sampler import Sampler

HISTORY_ROWS = 100
"""Of a whole training: as many points as a curve shows."""


class ShuffledRows:
    """Epochs of shuffled rows in whole batches; of fewer images than a batch holds, each comes several times."""

    def __init__(self, images: int, batch_size: int, seed: int, world: World):
        """``batch_size`` of ``images`` rows a step over all processes, in an order that ``seed`` decides."""
        self.images = images
        repeats = -(-batch_size // images)
        self._sampler = Sampler(repeats * images, batch_size, seed, world.rank, world.size)
        self.batch_size = self._sampler.batch_size

    def rows(self, step: int) -> torch.Tensor:
        """int64 rows of this process at a step."""
        return self._sampler.rows(step) % self.images


def steps_per_row(steps: int) -> int:
    """Steps that one row of the history averages over, of a training of so many."""
    return max(steps // HISTORY_ROWS, 1)
