"""Some images of the train split that the autoencoder does not learn from, so that its loss of detail can be told."""

import numpy as np
import torch

from gensis.training.permutation import mixed_key, permuted

LARGEST = 512
ONE_IN = 20


class HeldOut:
    """A twentieth of the rows, 512 at most, chosen by the seed; none of fewer than twenty."""

    def __init__(self, images: int, seed: int):
        count = min(images // ONE_IN, LARGEST)
        self.rows = torch.from_numpy(permuted(np.arange(count), images, mixed_key(seed, images, count))).sort().values
        """int64 (n,), in order."""
        self.others = images - count
        """How many rows are learnt from."""
        self._before = self.rows - torch.arange(count)

    def row_of(self, numbers: torch.Tensor) -> torch.Tensor:
        """int64 rows of those that are learnt from, by their numbers among each other: int64, below ``others``."""
        return numbers + torch.searchsorted(self._before, numbers, right=True)
