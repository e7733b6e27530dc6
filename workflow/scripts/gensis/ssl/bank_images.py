"""A bank of self-augmentations as retraining sees it: the synthetic images of a real one, by its row."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gensis.errors import UserError
from gensis.images.index import Index
from gensis.images.reading import Images, open_images
from gensis.images.store import Store


@dataclass(frozen=True)
class SyntheticImages:
    """Images made from sources, found by their source's row."""

    images: Images
    order: torch.Tensor
    """int64 (M,): positions of the images, sorted by source."""
    first: torch.Tensor
    """int64 (sources + 1,): where each source's images begin in `order`."""
    partner: torch.Tensor
    """int64 (M,), by position; -1 for a generative image."""
    alpha: torch.Tensor
    """float32 (M,), by position: weight of the source."""

    def choose(self, sources: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw one image of each source.

        Args:
            sources: int64 (B,) rows on the CPU.
            generator: of the CPU.

        Returns:
            Positions int64 (B,), and bool (B,): whether the source has any (where not, the position is 0).
        """
        count = self.first[sources + 1] - self.first[sources]
        drawn = (torch.rand(len(sources), generator=generator) * count).long()
        has = count > 0
        return self.order[(self.first[sources] + drawn).where(has, 0)].where(has, 0), has


def open_bank(
    folder: Path, kind: str, sources: int, device: torch.device, memory_gb: float, threads: int
) -> SyntheticImages | None:
    """Open a bank's `generative` or `interpolated` images.

    Args:
        folder: of the bank.
        kind: which of the two.
        sources: number of images in the train split that the bank was made from.
        device: where batches are wanted.
        memory_gb: see `open_images`.
        threads: see `open_images`.

    Returns:
        None if the bank holds no such images.
    """
    paths = sorted(Path(folder).glob(f"{kind}-*.h5"))
    columns: dict[str, list[np.ndarray]] = {"source": [], "partner": [], "alpha": []}
    counts, contents = [], []
    for path in paths:
        with Store(path) as store:
            counts.append(len(store))
            contents.append(store.content)
            for name, parts in columns.items():
                parts.append(store.column(name))
    if not sum(counts):
        return None
    source = np.concatenate(columns["source"])
    if source.max() >= sources:
        raise UserError(f"{folder} was made from other images: its source {source.max()} is not among {sources}")
    first_rows = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    index = Index(Path(folder), tuple(path.stem for path in paths), first_rows, tuple(contents))
    first = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=sources))])
    return SyntheticImages(
        open_images(index, device, memory_gb, threads),
        torch.from_numpy(np.argsort(source, kind="stable")),
        torch.from_numpy(first),
        torch.from_numpy(np.concatenate(columns["partner"]).astype(np.int64)),
        torch.from_numpy(np.concatenate(columns["alpha"]).astype(np.float32)),
    )


def bank_contents(folder: Path) -> dict[str, str]:
    """Content ids of a bank's files, by name."""
    contents = {}
    for path in sorted(Path(folder).glob("*-*.h5")):
        with Store(path) as store:
            contents[path.stem] = store.content
    if not contents:
        raise UserError(f"{folder} holds no bank: make it first")
    return contents
