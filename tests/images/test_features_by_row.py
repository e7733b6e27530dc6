import os
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from gensis.errors import UserError
from gensis.images.embeddings import write_embeddings
from gensis.images.features import Features, HeldFeatures, held_if_small
from gensis.images.index import Index, Ranges

VALUES = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
UNIT = np.array([0, 0, 2, 2, 2, 3, 3], np.int32)
UNITS = ("a", "empty", "b", "test")


@pytest.fixture
def parts(tmp_path) -> list[Path]:
    """Two parts of two units each; embeddings of mirrored images are the negatives."""
    paths = []
    for number, of_part in enumerate((UNIT < 2, UNIT >= 2)):
        values, unit = VALUES[of_part], UNIT[of_part] - 2 * number
        blocks = [values[:0], values[:1], values[1:]]
        paths.append(tmp_path / f"part-{number}.h5")
        mirrored = [-block for block in blocks]
        keys = np.arange(len(unit)).astype(str)
        write_embeddings(paths[-1], blocks, unit=unit, units=UNITS[2 * number :][:2], keys=keys, flipped=mirrored)
    return paths


def index(*units: tuple[str, int]) -> Index:
    first_rows = np.cumsum([0] + [count for _, count in units])
    return Index(
        folder=Path(), units=tuple(unit for unit, _ in units), first_rows=first_rows, contents=("",) * len(units)
    )


def test_features_follow_the_index_and_skip_units_not_in_it(parts):
    features = Features(index(("b", 3), ("a", 2)), parts)
    assert features.shape == (5, 3)
    assert np.array_equal(features[np.arange(5)], VALUES[[2, 3, 4, 0, 1]])
    assert np.array_equal(features[torch.tensor([4, 0, 4])], VALUES[[1, 2, 1]])
    assert Features(index(("a", 2)), parts[::-1])[np.array([1])].tolist() == VALUES[1:2].tolist()


def test_embeddings_that_are_not_finite_are_refused_when_they_are_read(parts):
    with h5py.File(parts[1], "r+") as file:
        file["features"][1, 2] = np.nan
    features = Features(index(("b", 3), ("a", 2)), parts)
    assert features[np.array([4, 0, 2])].isfinite().all()
    with pytest.raises(UserError, match=f"{parts[1]}: embeddings are not finite: delete it and run again"):
        features[np.array([4, 0, 1, 2])]


def test_features_of_selected_images_of_each_store(parts):
    chosen = Index(
        folder=Path(),
        units=("b", "a"),
        first_rows=np.array([0, 2, 3]),
        contents=("", ""),
        ranges=Ranges(np.array([0, 1, 2]), np.array([0, 2, 1])),
    )
    assert np.array_equal(Features(chosen, parts)[np.arange(3)], VALUES[[2, 4, 1]])
    beyond = Index(
        folder=Path(),
        units=("a",),
        first_rows=np.array([0, 1]),
        contents=("",),
        ranges=Ranges(np.array([0]), np.array([2])),
    )
    with pytest.raises(UserError, match="2 of the 3 images of a"):
        Features(beyond, parts)


@pytest.mark.parametrize("unit", [("a", 3), ("empty", 1), ("unknown", 2)])
def test_a_unit_with_another_number_of_embeddings_is_refused(parts, unit):
    with pytest.raises(UserError, match=f"images of {unit[0]}"):
        Features(index(unit), parts)


def test_features_of_mirrored_images_follow_those_of_the_images(parts, tmp_path):
    both = Features(index(("b", 3), ("a", 2)), parts, flips=True)
    rows = [2, 3, 4, 0, 1]
    assert np.array_equal(both[np.arange(10)], np.concatenate([VALUES[rows], -VALUES[rows]]))
    write_embeddings(tmp_path / "none.h5", [VALUES[:2]], unit=UNIT[:2], units=["a"], keys=np.arange(2).astype(str))
    with pytest.raises(UserError, match=r"embed again with embedding\.flips"):
        Features(index(("a", 2)), [tmp_path / "none.h5"], flips=True)


def test_prefetched_features_equal_those_read_directly(parts):
    batches = [torch.tensor([first, 4 - first]) for first in range(5)] * 2
    with closing(Features(index(("a", 2), ("b", 3)), parts)) as features:
        for batch in batches:
            features.prefetch(batch)
        assert all(np.array_equal(features[batch], VALUES[batch]) for batch in batches)


def test_content_id_does_not_depend_on_blocks_and_parts(parts, tmp_path):
    keys = np.arange(5).astype(str)
    write_embeddings(
        tmp_path / "one.h5", [VALUES[:5]], unit=UNIT[:5], units=UNITS[:3], keys=keys, flipped=[-VALUES[:5]]
    )
    listed = index(("a", 2), ("b", 3))
    content = Features(listed, parts).content
    assert Features(listed, [tmp_path / "one.h5"]).content == content
    changed = VALUES[:5] + np.eye(5, 3, dtype=np.float32)
    write_embeddings(tmp_path / "one.h5", [changed], unit=UNIT[:5], units=UNITS[:3], keys=keys, flipped=[-VALUES[:5]])
    assert Features(listed, [tmp_path / "one.h5"]).content != content
    assert Features(index(("a", 2)), parts).content != content


def test_a_file_without_embeddings_is_named_in_the_error(tmp_path):
    (tmp_path / "part.h5").write_text("nothing")
    with pytest.raises(UserError, match=r"part\.h5 is not an HDF5 file"):
        Features(index(("a", 2)), [tmp_path / "part.h5"])
    with pytest.raises(UserError, match=r"missing\.h5 does not exist"):
        Features(index(("a", 2)), [tmp_path / "missing.h5"])


@pytest.mark.parametrize("name", ["features", "features_flipped"])
@pytest.mark.parametrize(
    "change", [np.float64, lambda values: values[:, 0], lambda values: values[:-1], lambda values: values.astype(">f4")]
)
def test_a_part_of_another_type_or_shape_is_an_error(parts, name, change):
    with h5py.File(parts[1], "a") as file:
        values = change(file[name][:])
        del file[name]
        file[name] = values
    with pytest.raises(UserError, match=r"part-1\.h5 is damaged"):
        Features(index(("b", 3)), parts)


def test_parts_of_different_encoders_are_refused(parts, tmp_path):
    write_embeddings(
        tmp_path / "wide.h5", [np.zeros((3, 5))], unit=np.zeros(3, int), units=["b"], keys=np.arange(3).astype(str)
    )
    with pytest.raises(UserError, match="have 3 values and others 5"):
        Features(index(("a", 2), ("b", 3)), [parts[0], tmp_path / "wide.h5"])


def test_a_truncated_part_is_named_in_the_error(parts):
    features = Features(index(("b", 3)), parts)
    parts[1].write_bytes(parts[1].read_bytes()[:100])
    with pytest.raises(UserError, match=r"part-1\.h5.*too early"):
        features[np.arange(3)]


def test_neighbours_in_a_file_are_read_at_once(parts, monkeypatch):
    features, counts, pread = Features(index(("a", 2), ("b", 3)), parts, flips=True), [], os.pread
    monkeypatch.setattr(os, "pread", lambda file, count, at: counts.append(count // 12) or pread(file, count, at))
    rows = np.array([0, 1, 2, 3, 4, 9, 7, 8, 3])
    assert np.array_equal(features[rows], np.concatenate([VALUES, -VALUES])[[0, 1, 2, 3, 4, 11, 9, 10, 3]])
    assert counts == [2, 3, 1, 2, 1]


def test_small_embeddings_are_held_and_equal_those_read(parts):
    read = Features(index(("b", 3), ("a", 2)), parts, flips=True)
    held = held_if_small(read, torch.device("cpu"), 1.0)
    assert isinstance(held, HeldFeatures)
    assert held_if_small(read, torch.device("cpu"), 1e-9) is read
    assert (held.shape, len(held), held.content) == (read.shape, len(read), read.content)
    rows = torch.tensor([9, 0, 4, 4])
    held.prefetch(rows)
    assert held[rows].equal(read[rows])
