"""The sample on which a bank is measured: sources, an image of each, and real images to compare them with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from gensis.images.reading import Images

MOST_KNOWN = 100_000
"""Training images that neighbours are searched among; sources and partners are added."""


class Bank(Protocol):
    """The images of one kind in a bank, such as `gensis.ssl.bank_images.SyntheticImages`."""

    images: Images
    first: torch.Tensor
    """Integers (sources + 1,): index of each source's first image."""
    partner: torch.Tensor
    """Integers (M,), by position; empty for generative images."""
    alpha: torch.Tensor
    """float32 (M,), by position: weight of the source; empty for generative images."""
    copied: torch.Tensor
    """Integers (M,), by position: row of the real image that it is a copy of; empty for generated images."""

    def choose(self, sources: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw the position, int64 (B,), of one image of each source, int64 (B,)."""


@dataclass(frozen=True)
class Sample:
    """Rows of the train split, and positions in a bank, all int64."""

    sources: np.ndarray
    """(n,): sources whose images are measured."""
    others: np.ndarray
    """(m,): other real images, at most as many."""
    drawn: Mapping[str, np.ndarray]
    """Kind of image -> (n,), the position of one image of each source. Kinds that the bank lacks are missing."""
    known: np.ndarray
    """(K,), ascending: real images that neighbours are searched among, with all sources, partners and copied images."""

    def places(self, rows: np.ndarray) -> np.ndarray:
        """Positions in `known` of some rows of the train split that it contains."""
        return np.searchsorted(self.known, rows)


def draw_sample(banks: Mapping[str, Bank | None], images: int, most: int, seed: int) -> Sample:
    """Draw up to ``most`` sources that have images of every kind in the bank.

    Args:
        banks: `generative` and `interpolated` images; None for a kind that the bank lacks.
        images: number of images in the train split. At most half of them are sources.
        most: largest number of sources.
        seed: of all draws.
    """
    rows = shuffled(images, seed)
    count = min(most, images // 2)
    present = {kind: bank for kind, bank in banks.items() if bank}
    has_images = np.all([bank.first.diff().numpy() > 0 for bank in present.values()], axis=0)
    sources = rows[has_images[rows]][:count] if has_images.ndim else rows[:count]
    others = rows[~np.isin(rows, sources)][: len(sources)]
    drawn = {kind: _draw(bank, sources, seed) for kind, bank in present.items()}
    columns = [(kind, column) for kind, bank in present.items() for column in (bank.partner, bank.copied)]
    shown = [column[drawn[kind]].numpy() for kind, column in columns if len(column)]
    return Sample(sources, others, drawn, np.unique(np.concatenate([rows[:MOST_KNOWN], sources, *shown])))


def _draw(bank: Bank, sources: np.ndarray, seed: int) -> np.ndarray:
    """Positions in the bank of one random image of each source."""
    return bank.choose(torch.from_numpy(sources), torch.Generator().manual_seed(seed))[0].numpy()


def shuffled(count: int, seed: int) -> np.ndarray:
    """All rows in random order, int64 (count,)."""
    return np.random.default_rng(seed).permutation(count)
