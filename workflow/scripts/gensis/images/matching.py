"""The embeddings of an index's images."""

import hashlib
from dataclasses import replace

import numpy as np

from gensis.errors import UserError
from gensis.images.embeddings import Embeddings
from gensis.images.index import Index


def features_of(index: Index, embeddings: Embeddings) -> np.ndarray:
    """Features of the index's images, in its order: float32 (len(index), D).

    Args:
        index: of the train split.
        embeddings: of all images of these and perhaps of other stores, in any order of units.

    Raises:
        UserError: a unit has no embeddings, or not as many as images.
    """
    first = np.searchsorted(embeddings.unit, np.arange(len(embeddings.units) + 1))
    number = {name: i for i, name in enumerate(embeddings.units)}
    parts = []
    for unit, begin, end in zip(index.units, index.first_rows[:-1], index.first_rows[1:]):
        i = number.get(unit)
        features = embeddings.features[first[i] : first[i + 1]] if i is not None else embeddings.features[:0]
        _, positions = index.locate(np.arange(begin, end))
        needed = positions[-1] + 1
        if len(features) != needed if index.ranges is None else len(features) < needed:
            raise UserError(
                f"the embeddings hold {len(features)} of the {needed} images of {unit}: embed the images again"
            )
        parts.append(features[positions])
    return np.concatenate(parts)


def features_of_flips(index: Index, embeddings: Embeddings) -> np.ndarray:
    """Features of the index's images and then of their mirror images: float32 (2 * len(index), D).

    Raises:
        UserError: as `features_of`; or mirror images were not embedded.
    """
    if embeddings.flipped is None:
        raise UserError("the embeddings hold no mirrored images: embed again with embedding.flips")
    both = (embeddings, replace(embeddings, features=embeddings.flipped))
    return np.concatenate([features_of(index, of_one) for of_one in both])


def features_id(features: np.ndarray) -> str:
    """Content id of features: SHA-256 of their bytes, first 16 hexadecimal digits."""
    return hashlib.sha256(np.ascontiguousarray(features)).hexdigest()[:16]
