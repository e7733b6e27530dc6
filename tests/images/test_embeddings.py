"""Images are found among embeddings by what they are, wherever they lie."""

import numpy as np
import pytest

from gensis.errors import UserError
from gensis.images.embeddings import Embeddings


def embeddings(*units: tuple[str, int], of: str = "key") -> Embeddings:
    """Units with so many images each; an image's feature tells which it is."""
    names, counts = zip(*units)
    unit = np.repeat(np.arange(len(units), dtype=np.int32), counts)
    images = [(name, i) for name, count in units for i in range(count)]
    features = np.array([[ord(name), i] for name, i in images], np.float32)
    keys = np.array([f"{name}{i}" for name, i in images], object) if of == "key" else features.astype(np.int64)
    return Embeddings(features, unit, names, keys)


@pytest.mark.parametrize("of", ["key", "coords"])
def test_rows_are_those_of_the_same_images_in_any_order_of_units(of):
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
def test_an_image_that_is_not_there_is_refused_and_no_other_taken(others, said):
    with pytest.raises(UserError, match=f"embeddings of blur-1 lack {said}"):
        others.rows_of(embeddings(("a", 3)), np.array([0, 1]), "blur-1")
