from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gensis.errors import UserError
from gensis.images.embeddings import Embeddings
from gensis.images.index import Index, Ranges
from gensis.images.matching import features_id, features_of, features_of_flips

FEATURES = np.arange(14, dtype=np.float32).reshape(7, 2)
EMBEDDINGS = Embeddings(
    FEATURES, np.array([0, 0, 2, 2, 2, 3, 3], np.int32), ("a", "empty", "b", "test"), np.array(list("abcdefg"), object)
)


def index(*units: tuple[str, int]) -> Index:
    first_rows = np.cumsum([0] + [count for _, count in units])
    return Index(Path(), tuple(unit for unit, _ in units), first_rows, ("",) * len(units))


def test_features_follow_the_index_and_leave_out_units_that_it_does_not_list():
    assert np.array_equal(features_of(index(("a", 2), ("b", 3)), EMBEDDINGS), FEATURES[:5])
    assert np.array_equal(features_of(index(("b", 3), ("a", 2)), EMBEDDINGS), FEATURES[[2, 3, 4, 0, 1]])


def test_features_of_the_images_that_are_chosen_of_each_store():
    chosen = Index(Path(), ("b", "a"), np.array([0, 2, 3]), ("", ""), Ranges(np.array([0, 1, 2]), np.array([0, 2, 1])))
    assert np.array_equal(features_of(chosen, EMBEDDINGS), FEATURES[[2, 4, 1]])
    beyond = Index(Path(), ("a",), np.array([0, 1]), ("",), Ranges(np.array([0]), np.array([2])))
    with pytest.raises(UserError, match="2 of the 3 images of a"):
        features_of(beyond, EMBEDDINGS)


@pytest.mark.parametrize("unit", [("a", 3), ("empty", 1), ("unknown", 2)])
def test_a_unit_with_other_images_is_refused(unit):
    with pytest.raises(UserError, match=f"images of {unit[0]}"):
        features_of(index(unit), EMBEDDINGS)


def test_content_id_depends_on_values_alone():
    assert features_id(FEATURES) == features_id(FEATURES.copy())
    assert features_id(FEATURES) == features_id(np.asfortranarray(FEATURES))
    assert features_id(FEATURES) != features_id(FEATURES + 1)


def test_features_of_mirror_images_follow_those_of_the_images():
    with pytest.raises(UserError, match=r"embed again with embedding\.flips"):
        features_of_flips(index(("a", 2)), EMBEDDINGS)
    both = features_of_flips(index(("b", 3), ("a", 2)), replace(EMBEDDINGS, flipped=-FEATURES))
    rows = [2, 3, 4, 0, 1]
    assert np.array_equal(both, np.concatenate([FEATURES[rows], -FEATURES[rows]]))
