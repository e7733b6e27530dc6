"""Copies: generated images that repeat their source in pixels. The only place where their distance is defined."""

from dataclasses import dataclass

import numpy as np
import torch

from gensis.augment.resample import resize
from gensis.images.reading import Images, read_ahead
from gensis.ranges import to_signed

RATIO = 1 / 3
"""Near duplicates have a copy ratio below this."""
PIXELS_PX = 16
NEIGHBOURS = 50
"""Nearest real images of a source, itself included."""
NEIGHBOURS_AMONG = 4096
"""Largest number of real images that the neighbours of a source are searched among."""
_CHUNK_VALUES = 1 << 24


def thumbnails(images: torch.Tensor) -> np.ndarray:
    """Pixels that images are compared by: float32 (n, 768) in [-1, 1], at 16 px, from uint8 (n, 3, H, W)."""
    return to_signed(resize(images, PIXELS_PX).round()).flatten(1).cpu().numpy()


@dataclass(frozen=True)
class Reference:
    """Real images that the neighbours of a source are searched among."""

    rows: np.ndarray
    """int64 (R,): their rows in the train split, ascending."""
    pixels: np.ndarray
    """float32 (R, 768): their `thumbnails`."""

    def ratios(self, generated: np.ndarray, sources: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """`copy_ratios` of generated images.

        Args:
            generated: float32 (n, 768): their thumbnails.
            sources: float32 (n, 768): thumbnails of their sources.
            rows: int64 (n,): rows of the sources in the train split; -1 for sources outside it.
        """
        place = np.searchsorted(self.rows, rows).clip(max=len(self.rows) - 1)
        return copy_ratios(generated, sources, self.pixels, np.where(self.rows[place] == rows, place, -1))


def draw_reference(images: Images, seed: int, batch_size: int) -> Reference:
    """Draw up to 4096 images of the train split, and read them in batches of ``batch_size``."""
    draw = np.random.default_rng(seed)
    rows = np.sort(draw.choice(len(images), min(NEIGHBOURS_AMONG, len(images)), replace=False))
    blocks = read_ahead(images, torch.from_numpy(rows).split(batch_size))
    return Reference(rows, np.concatenate([thumbnails(block) for block in blocks]))


def copy_ratios(generated: np.ndarray, sources: np.ndarray, real: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Distance of each image to its source, relative to its distance to the source's neighbours.

    This is the ratio of Carlini et al. 2023 (arXiv 2301.13188), for a known source.

    Args:
        generated: float32 (n, P): pixels of generated images.
        sources: float32 (n, P): pixels of their sources.
        real: float32 (R, P): pixels of real images, R > 1.
        own: int64 (n,): row of the source in ``real``; -1 if ``real`` does not contain it.

    Returns:
        float32 (n,): distance to the source over mean distance to its 2nd to 50th neighbours among ``real``.
    """
    reference = torch.from_numpy(real)
    count = min(NEIGHBOURS - 1, len(real) - 1)
    rows = max(1, _CHUNK_VALUES // len(real))
    found = []
    for image, source, row in zip(*(torch.from_numpy(values).split(rows) for values in (generated, sources, own))):
        from_source = torch.cdist(source, reference)
        itself = torch.arange(len(real)) == row[:, None]
        neighbours = from_source.masked_fill(itself, torch.inf).topk(count, largest=False).indices
        apart = torch.cdist(image, reference).gather(1, neighbours).mean(1)
        distance = (image - source).norm(dim=1)
        found.append(torch.where(distance > 0, distance / apart, 0))  # 0 / 0 if source, copy and neighbours are equal
    return torch.cat(found).numpy()


def nearest_others(real: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Row of the real image that is nearest to each of some real images: int64 (n,).

    Args:
        real: float32 (R, P): pixels of real images, R > 1.
        own: int64 (n,): rows of ``real``.
    """
    reference = torch.from_numpy(real)
    rows = max(1, _CHUNK_VALUES // len(real))
    found = []
    for row in torch.from_numpy(own).split(rows):
        distance = torch.cdist(reference[row], reference)
        found.append(distance.scatter_(1, row[:, None], torch.inf).argmin(1))
    return torch.cat(found).numpy()
