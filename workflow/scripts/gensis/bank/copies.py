"""Real images in a bank, copied in place of generated ones."""

from collections.abc import Iterator

import numpy as np

from gensis.images.encoded import EncodedImages
from gensis.images.index import Index
from gensis.images.reading import read_layouts
from gensis.images.store import damaged_image
from gensis.threads import in_threads

_BLOCK = 256


def columns_of_copies(sources: range, copied: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of a bank's store of generative images.

    Args:
        sources: rows of n sources.
        copied: int64 (n, variants): rows of the images that are copied for each.
    """
    count, variants = copied.shape
    return {
        "source": np.repeat(np.asarray(sources, np.int64), variants),
        "partner": np.full(count * variants, -1, np.int64),
        "alpha": np.ones(count * variants, np.float32),
        "variant": np.tile(np.arange(variants, dtype=np.int32), count),
        "copied": copied.astype(np.int64).reshape(-1),
    }


def encoded_images(index: Index, rows: np.ndarray, threads: int) -> Iterator[bytes]:
    """The encoded images at int64 (n,) rows of the train split, as they are in their stores.

    Raises:
        UserError: a store is not the one that the index lists, or an image is damaged.
    """
    images = EncodedImages(read_layouts(index))

    def read(store: int, position: int) -> bytes:
        try:
            return images.read(store, position)
        except ValueError as error:
            raise damaged_image(images.layouts[store].path, position, error) from error

    for start in range(0, len(rows), _BLOCK):
        yield from in_threads(threads, read, *(part.tolist() for part in index.locate(rows[start : start + _BLOCK])))
    images.close()
