"""A bank of self-augmentations as retraining sees it: the synthetic images of a real one, by its row."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gensis.errors import UserError
from gensis.images.bank_filter import filter_content, read_keep_mask
from gensis.images.index import Index
from gensis.images.reading import Images
from gensis.images.store import Store
from gensis.settings.pretraining import Retraining


@dataclass(frozen=True)
class SyntheticImages:
    """Images made from sources, found by their source's row."""

    images: Images | None
    """None where only partners and weights are wanted."""
    order: torch.Tensor | None
    """Integers: positions of the images that a filter keeps, sorted by source. None where these are all, and sorted."""
    first: torch.Tensor
    """Integers (sources + 1,): where each source's images begin in that order."""
    partner: torch.Tensor
    """Integers (M,), by position; empty for generative images."""
    alpha: torch.Tensor
    """float32 (M,), by position: weight of the source; empty for generative images."""

    def choose(self, sources: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw one image of each source.

        Args:
            sources: int64 (B,) rows on the CPU.
            generator: of the CPU.

        Returns:
            Positions int64 (B,), and bool (B,): whether the source has any (where not, the position is 0).
        """
        (position,), has = self._draw(sources, generator, 1)
        return position, has

    def choose_two(self, sources: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw two different images of each source.

        Args:
            sources: int64 (B,) rows on the CPU.
            generator: of the CPU.

        Returns:
            Positions int64 (2, B), and bool (B,): whether the source has two (where not, the positions are 0).
        """
        return self._draw(sources, generator, 2)

    def _draw(
        self, sources: torch.Tensor, generator: torch.Generator, wanted: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        first = self.first[sources].long()
        count = self.first[sources + 1] - first
        has = count >= wanted
        drawn = [(torch.rand(len(sources), generator=generator) * count).long()]
        if wanted == 2:  # any but the first one
            beyond = 1 + (torch.rand(len(sources), generator=generator) * (count - 1)).long()
            drawn.append((drawn[0] + beyond) % count.clamp(min=1))
        places = (first + torch.stack(drawn)).where(has, 0)
        return (places if self.order is None else self.order[places].long().where(has, 0)), has


def open_bank(
    folder: Path,
    kind: str,
    sources: int,
    open_images: Callable[[Index], Images] | None,
    shuffled_by: int | None = None,
    filtered: bool = False,
) -> SyntheticImages | None:
    """Open a bank's `generative` or `interpolated` images.

    Args:
        folder: of the bank.
        kind: which of the two.
        sources: number of images in the train split that the bank was made from.
        open_images: opens the images; None if just partners and weights are wanted.
        shuffled_by: seed by which all sources and partners take each other's places (see `other_rows`).
        filtered: whether just the images are drawn that the bank's filter keeps.

    Returns:
        None if the bank holds no such images.

    Raises:
        UserError: the bank was made from other images, or its filter keeps none.
    """
    paths = sorted(Path(folder).glob(f"{kind}-*.h5"))
    index = _index(folder, paths)
    if not len(index):
        return None
    kept = np.concatenate([read_keep_mask(path) for path in paths]) if filtered else None
    if kept is not None and not kept.any():
        raise UserError(f"the filter of {folder} keeps none of {len(kept)} {kind} images: loosen it")
    source = _column(paths, "source")
    if source.max() >= sources:
        raise UserError(f"{folder} was made from other images: its source {source.max()} is not among {sources}")
    between = kind == "interpolated"
    partner = _column(paths, "partner") if between else np.empty(0, np.int32)
    alpha = _column(paths, "alpha") if between else np.empty(0, np.float32)
    if shuffled_by is not None:
        others = other_rows(sources, shuffled_by)
        source, partner = others[source], others[partner]
    images = open_images(index) if open_images else None
    return SyntheticImages(images, *_by_source(source, sources, kept), *map(torch.from_numpy, (partner, alpha)))


def _index(folder: Path, paths: list[Path]) -> Index:
    """The images of a bank's files."""
    counts, contents = [0], []
    for path in paths:
        with Store(path) as store:
            counts.append(len(store))
            contents.append(store.content)
    return Index(Path(folder), tuple(path.stem for path in paths), np.cumsum(counts), tuple(contents))


def _column(paths: list[Path], name: str) -> np.ndarray:
    """A column of a bank's files, (M,)."""
    parts = []
    for path in paths:
        with Store(path) as store:
            part = store.column(name)
            parts.append(part.astype(np.float32) if part.dtype.kind == "f" else _compact(part))
    return np.concatenate(parts)


def _compact(numbers: np.ndarray) -> np.ndarray:
    """Integers in half the memory where they are small: each process holds those of a bank of 100 million images."""
    return numbers.astype(np.int32) if numbers.max(initial=0) <= np.iinfo(np.int32).max else numbers


def _by_source(source: np.ndarray, sources: int, kept: np.ndarray | None) -> tuple[torch.Tensor | None, torch.Tensor]:
    """`SyntheticImages.order` and `first` of images with integer (M,) sources, of which bool (M,) are drawn from."""
    drawn = source if kept is None else source[kept]
    first = _compact(np.concatenate([[0], np.cumsum(np.bincount(drawn, minlength=sources))]))
    order = None
    if kept is not None or (source[1:] < source[:-1]).any():
        order = np.argsort(drawn, kind="stable")
        order = torch.from_numpy(_compact(order if kept is None else np.flatnonzero(kept)[order]))
    return order, torch.from_numpy(first)


def open_parts(
    settings: Retraining,
    folder: Path,
    sources: int,
    open_images: Callable[[Index], Images],
    seed: int,
    filtered: bool = False,
) -> tuple[SyntheticImages | None, SyntheticImages | None]:
    """The generative and the interpolated images of a bank, as far as a retraining reads them.

    Args:
        settings: of the retraining.
        folder: of the bank.
        sources: see `open_bank`.
        open_images: see `open_bank`.
        seed: of the retraining, by which it shuffles the bank if it does.
        filtered: see `open_bank`.

    Raises:
        UserError: the bank was made from other images, or has not what the settings ask for.
    """
    reading = {
        "folder": folder,
        "sources": sources,
        "shuffled_by": seed if settings.shuffle_bank else None,
        "filtered": filtered,
    }
    generative = interpolated = None
    if settings.largest_generative_probability > 0:
        generative = _found(open_bank(kind="generative", open_images=open_images, **reading), folder, "generative")
    if settings.disentangle_weight > 0:
        generated = open_images if settings.interpolation == "embedding" else None
        found = open_bank(kind="interpolated", open_images=generated, **reading)
        interpolated = _found(found, folder, "interpolated")
    if not settings.real_images and generative.first.diff().min() < 2:
        loosen = ", or loosen its filter" if filtered else ""
        raise UserError(
            f"{folder} has not two generative images of every source: make it with variants: 2 or more{loosen}"
        )
    return generative, interpolated


def _found(images: SyntheticImages | None, folder: Path, kind: str) -> SyntheticImages:
    if images is None:
        raise UserError(f"{folder} holds no {kind} images, which this retraining shows: make some, or turn them off")
    return images


def other_rows(count: int, seed: int) -> np.ndarray:
    """A random permutation of rows that leaves none in its place: one cycle through all, integers (count,)."""
    cycle = np.random.default_rng(seed).permutation(count)
    others = np.empty_like(cycle)
    others[cycle] = np.roll(cycle, -1)
    return _compact(others)


def bank_contents(folder: Path, filtered: bool = False) -> dict[str, str]:
    """Content ids of a bank's files, by name, and of what its filter keeps of them."""
    contents = {}
    for path in sorted(Path(folder).glob("*-*.h5")):
        with Store(path) as store:
            contents[path.stem] = store.content
        if filtered:
            contents[f"filter/{path.stem}"] = filter_content(path)
    if not contents:
        raise UserError(f"{folder} holds no bank: make it first")
    return contents
