"""Images of the train split that the autoencoder is not trained on: its reconstructions are measured on them."""

import numpy as np
import torch

from gensis.training.permutation import mixed_key, permuted

LARGEST = 512
ONE_IN = 20


class HeldOut:
    """One in twenty rows, at most 512, chosen by the seed. Of fewer than twenty rows, none is held out."""

    def __init__(self, images: int, seed: int):
        count = min(images // ONE_IN, LARGEST)
        self.rows = torch.from_numpy(permuted(np.arange(count), images, mixed_key(seed, images, count))).sort().values
        """int64 (n,): the held-out rows, sorted."""
        self.others = images - count
        """Number of rows that are trained on."""
        self._before = self.rows - torch.arange(count)

    def row_of(self, numbers: torch.Tensor) -> torch.Tensor:
        """Rows, int64, of the images with these numbers (int64, below ``others``) among those that are trained on."""
        return numbers + torch.searchsorted(self._before, numbers, right=True)
