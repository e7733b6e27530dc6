"""Which images a step sees: a function of seed and step alone, so that resuming needs no state."""

from functools import lru_cache

import torch


class Sampler:
    """Epochs of shuffled rows without replacement; what does not fill a batch is left out of its epoch."""

    def __init__(self, images: int, batch_size: int, seed: int, rank: int = 0, world: int = 1):
        """Sample ``batch_size`` (over all ``world`` processes) of ``images`` rows a step."""
        self.images = images
        self.batch_size = min(batch_size, images)
        self.steps_per_epoch = images // self.batch_size
        self.seed = seed
        self.rank = rank
        self.world = world

    def rows(self, step: int) -> torch.Tensor:
        """int64 rows of this process at a step."""
        epoch, position = divmod(step, self.steps_per_epoch)
        batch = _permutation(self.images, self.seed, epoch)[
            position * self.batch_size : (position + 1) * self.batch_size
        ]
        return batch[self.rank :: self.world]


@lru_cache(maxsize=2)
def _permutation(images: int, seed: int, epoch: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed((seed << 32) + epoch)
    return torch.randperm(images, generator=generator)
