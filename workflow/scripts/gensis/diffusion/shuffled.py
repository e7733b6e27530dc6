"""The rows that a painter or an autoencoder learns from in each step."""

import torch

from gensis.training.distributed import World
from gensis.training.sampler import Sampler


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
