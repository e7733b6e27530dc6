"""The embeddings of an index's images."""

import hashlib

import numpy as np

from gensis.errors import UserError
from gensis.images.embeddings import Embeddings
from gensis.images.index import Index


def features_of(index: Index, embeddings: Embeddings) -> np.ndarray:
    """Features of the index's images, in its order: float32 (len(index), D).

    Args:
        index: of the train split.
        embeddings: of these and perhaps of other units, in any order of units.

    Raises:
        UserError: a unit has no embeddings, or not as many as images.
    """
    first = np.searchsorted(embeddings.unit, np.arange(len(embeddings.units) + 1))
    number = {name: i for i, name in enumerate(embeddings.units)}
    counts = np.diff(index.first_rows)
    parts = []
    for unit, count in zip(index.units, counts):
        i = number.get(unit)
        found = 0 if i is None else first[i + 1] - first[i]
        if found != count:
            raise UserError(f"the embeddings hold {found} of the {count} images of {unit}: embed the images again")
        parts.append(embeddings.features[first[i] : first[i + 1]])
    return np.concatenate(parts)


def features_id(features: np.ndarray) -> str:
    """Content id of features: SHA-256 of their bytes, first 16 hexadecimal digits."""
    return hashlib.sha256(np.ascontiguousarray(features)).hexdigest()[:16]
