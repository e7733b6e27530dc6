"""Matching of images between embeddings, by unit, position and key."""

import numpy as np
import pytest

from gensis.errors import UserError
from gensis.images.embeddings import Embeddings


def embeddings(*units: tuple[str, int], of: str = "key") -> Embeddings:
    """Embeddings of units with these numbers of images; an image's feature identifies it."""
    names, counts = zip(*units)
    unit = np.repeat(np.arange(len(units), dtype=np.int32), counts)
    images = [(name, i) for name, count in units for i in range(count)]
    features = np.array([[ord(name), i] for name, i in images], np.float32)
    keys = np.array([f"{name}{i}" for name, i in images], object) if of == "key" else features.astype(np.int64)
    return Embeddings(features=features, unit=unit, units=names, keys=keys)


@pytest.mark.parametrize("of", ["key", "coords"])
def test_rows_are_matched_by_image_in_any_order_of_units(of):
    everything = embeddings(("a", 3), ("b", 0), ("c", 2), ("d", 4), of=of)
    some = embeddings(("d", 4), ("e", 1), ("a", 3), of=of)
    rows = np.array([8, 0, 5, 2])
    np.testing.assert_array_equal(some.features[some.rows_of(everything, rows, "blur-1")], everything.features[rows])
    assert len(some.rows_of(everything, rows[:0], "blur-1")) == 0


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (embeddings(("b", 3)), "image 0 of unit 'a'"),
        (embeddings(("a", 1), ("b", 3)), "image 1 of unit 'a'"),
        (embeddings(("a", 3), of="coords"), "image 0 of unit 'a'"),
    ],
    ids=["no-unit", "fewer-images", "other-keys"],
)
def test_a_missing_image_is_an_error_and_never_replaced_by_another(others, said):
    with pytest.raises(UserError, match=f"embeddings of blur-1 lack {said}"):
        others.rows_of(embeddings(("a", 3)), np.array([0, 1]), "blur-1")
