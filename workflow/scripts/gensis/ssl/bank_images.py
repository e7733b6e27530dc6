"""The images of a bank as retraining reads them: the synthetic images of each source, found by its row."""

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


@dataclass(frozen=True, kw_only=True)
class SyntheticImages:
    """Images generated from sources, found by the source's row."""

    images: Images | None
    """None if only partners and alphas are needed."""
    order: torch.Tensor | None
    """Integers: positions of the images that the filter keeps, sorted by source. None if all are kept and sorted."""
    first: torch.Tensor
    """Integers (sources + 1,): index of each source's first image in that order."""
    partner: torch.Tensor
    """Integers (M,), by position; empty for generative images."""
    alpha: torch.Tensor
    """float32 (M,), by position: weight of the source; empty for generative images."""
    copied: torch.Tensor
    """Integers (M,), by position: row of the real image that it is a copy of; empty for generated images."""

    def choose(self, sources: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw one image of each source.

        Args:
            sources: int64 (B,) rows on the CPU.
            generator: of the CPU.

        Returns:
            Positions int64 (B,), and bool (B,): whether the source has an image (if not, its position is 0).
        """
        (position,), has = self._draw(sources, generator, 1)
        return position, has

    def choose_two(self, sources: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw two different images of each source.

        Args:
            sources: int64 (B,) rows on the CPU.
            generator: of the CPU.

        Returns:
            Positions int64 (2, B), and bool (B,): whether the source has two images (if not, its positions are 0).
        """
        return self._draw(sources, generator, 2)

    def _draw(
        self, sources: torch.Tensor, generator: torch.Generator, wanted: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        first = self.first[sources].long()
        count = self.first[sources + 1] - first
        has = count >= wanted
        drawn = [(torch.rand(len(sources), generator=generator) * count).long()]
        if wanted == 2:  # any other than the first draw
            offset = 1 + (torch.rand(len(sources), generator=generator) * (count - 1)).long()
            drawn.append((drawn[0] + offset) % count.clamp(min=1))
        places = (first + torch.stack(drawn)).where(has, 0)
        return (places if self.order is None else self.order[places].long().where(has, 0)), has


def open_bank(
    folder: Path,
    kind: str,
    *,
    sources: int,
    open_images: Callable[[Index], Images] | None,
    shuffled_by: int | None = None,
    filtered: bool = False,
) -> SyntheticImages | None:
    """Open a bank's `generative` or `interpolated` images.

    Args:
        folder: of the bank.
        kind: `generative` or `interpolated`.
        sources: number of images in the train split that the bank was generated from.
        open_images: opens the images; None if only partners and alphas are needed.
        shuffled_by: seed of a permutation of sources and partners (see `other_rows`); None: not shuffled.
        filtered: whether only images that the bank's filter keeps are drawn.

    Returns:
        None if the bank has no such images.

    Raises:
        UserError: the bank was generated from another data set, or its filter keeps no image.
    """
    paths = sorted(Path(folder).glob(f"{kind}-*.h5"))
    index = _index(folder, paths)
    if not len(index):
        return None
    kept = np.concatenate([read_keep_mask(path) for path in paths]) if filtered else None
    if kept is not None and not kept.any():
        raise UserError(f"the filter of {folder} keeps none of {len(kept)} {kind} images: relax its thresholds")
    source = _column(paths, "source")
    if source.max() >= sources:
        raise UserError(
            f"{folder} was generated from another data set: source {source.max()} is not among {sources} images: "
            "generate it again"
        )
    is_interpolated = kind == "interpolated"
    partner = _column(paths, "partner") if is_interpolated else np.empty(0, np.int32)
    alpha = _column(paths, "alpha") if is_interpolated else np.empty(0, np.float32)
    if shuffled_by is not None:
        others = other_rows(sources, shuffled_by)
        source, partner = others[source], others[partner]
    images = open_images(index) if open_images else None
    order, first = _by_source(source, sources, kept)
    columns = {"partner": partner, "alpha": alpha, "copied": _copies(paths)}
    columns = {name: torch.from_numpy(column) for name, column in columns.items()}
    return SyntheticImages(images=images, order=order, first=first, **columns)


def _index(folder: Path, paths: list[Path]) -> Index:
    """Index of the images in a bank's files."""
    counts, contents = [0], []
    for path in paths:
        with Store(path) as store:
            counts.append(len(store))
            contents.append(store.content)
    return Index(
        folder=Path(folder),
        units=tuple(path.stem for path in paths),
        first_rows=np.cumsum(counts),
        contents=tuple(contents),
    )


def _column(paths: list[Path], name: str) -> np.ndarray:
    """A column of a bank's files, (M,)."""
    parts = []
    for path in paths:
        with Store(path) as store:
            part = store.column(name)
            parts.append(part.astype(np.float32) if part.dtype.kind == "f" else _compact(part))
    return np.concatenate(parts)


def _copies(paths: list[Path]) -> np.ndarray:
    """The column `copied` of a bank's files; empty if its images are generated."""
    with Store(paths[0]) as store:
        are_copies = "copied" in store.file
    return _column(paths, "copied") if are_copies else np.empty(0, np.int32)


def _compact(numbers: np.ndarray) -> np.ndarray:
    """Integers as int32 if they fit, to halve the memory: each process holds them for up to 100 million images."""
    return numbers.astype(np.int32) if numbers.max(initial=0) <= np.iinfo(np.int32).max else numbers


def _by_source(source: np.ndarray, sources: int, kept: np.ndarray | None) -> tuple[torch.Tensor | None, torch.Tensor]:
    """`SyntheticImages.order` and `first` for integer (M,) sources of images and a bool (M,) mask of those kept."""
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
    *,
    sources: int,
    open_images: Callable[[Index], Images],
    seed: int,
    filtered: bool = False,
) -> tuple[SyntheticImages | None, SyntheticImages | None]:
    """Open the generative and the interpolated images of a bank that a retraining reads.

    Args:
        settings: of the retraining.
        folder: of the bank.
        sources: see `open_bank`.
        open_images: see `open_bank`.
        seed: of the retraining; also of the permutation if it shuffles the bank.
        filtered: see `open_bank`.

    Raises:
        UserError: the bank was generated from another data set, or lacks images that the settings need.
    """
    reading = {
        "folder": folder,
        "sources": sources,
        "shuffled_by": seed if settings.shuffle_bank else None,
        "filtered": filtered,
    }
    generative = interpolated = None
    if settings.largest_generative_probability > 0:
        generative = _required(open_bank(kind="generative", open_images=open_images, **reading), folder, "generative")
    if settings.disentangle_weight > 0:
        generated = open_images if settings.interpolation == "embedding" else None
        images = open_bank(kind="interpolated", open_images=generated, **reading)
        interpolated = _required(images, folder, "interpolated")
    if not settings.real_images and generative.first.diff().min() < 2:
        advice = ", or relax its filter" if filtered else ""
        raise UserError(
            f"{folder} does not have two generative images per source: generate it with variants: 2 or more{advice}"
        )
    return generative, interpolated


def _required(images: SyntheticImages | None, folder: Path, kind: str) -> SyntheticImages:
    if images is None:
        raise UserError(f"{folder} has no {kind} images, which this retraining needs: generate some, or turn them off")
    return images


def other_rows(count: int, seed: int) -> np.ndarray:
    """A random permutation of rows without fixed points: one cycle through all rows, integers (count,)."""
    cycle = np.random.default_rng(seed).permutation(count)
    others = np.empty_like(cycle)
    others[cycle] = np.roll(cycle, -1)
    return _compact(others)


def bank_contents(folder: Path, filtered: bool = False) -> dict[str, str]:
    """Content ids of a bank's files and, if ``filtered``, of their filters, by name."""
    contents = {}
    for path in sorted(Path(folder).glob("*-*.h5")):
        with Store(path) as store:
            contents[path.stem] = store.content
        if filtered:
            contents[f"filter/{path.stem}"] = filter_content(path)
    if not contents:
        raise UserError(f"{folder} has no bank: generate it first")
    return contents
