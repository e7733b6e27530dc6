import numpy as np
import pytest

from gensis.evaluation import copying
from gensis.evaluation.copying import RATIO, Reference, copy_ratios, nearest_others


@pytest.fixture
def real():
    return np.random.default_rng(0).normal(size=(70, 12)).astype(np.float32)


def test_copies_are_near_duplicates_and_other_images_are_not(real):
    rows = np.arange(30)
    noise = 0.05 * np.random.default_rng(1).normal(size=(30, 12)).astype(np.float32)
    for generated, expected in ((real[rows], True), (real[rows] + noise, True), (real[rows + 30], False)):
        assert ((copy_ratios(generated, real[rows], real, rows) < RATIO) == expected).all()


@pytest.mark.parametrize("chunk_values", [1, 1 << 24])
def test_near_duplicates_are_within_a_third_of_the_distance_to_neighbours(real, chunk_values, monkeypatch):
    monkeypatch.setattr(copying, "_CHUNK_VALUES", chunk_values)
    rows, generated = np.arange(40), np.random.default_rng(1).normal(size=(40, 12)).astype(np.float32)
    mixture = np.linspace(0, 1, 40, dtype=np.float32)[:, None]
    generated = mixture * generated + (1 - mixture) * real[rows]
    expected = []
    for image, row in zip(generated, rows):
        by_distance = sorted(range(70), key=lambda other: np.linalg.norm(real[other] - real[row]))
        assert by_distance[0] == row
        apart = np.mean([np.linalg.norm(image - real[other]) for other in by_distance[1:50]])
        expected.append(np.linalg.norm(image - real[row]) < apart / 3)
    assert 5 < sum(expected) < 35
    assert (copy_ratios(generated, real[rows], real, rows) < RATIO).tolist() == expected


def test_a_source_outside_the_real_images_is_compared_with_all_of_them(real):
    held_out = real[:5] + 0.01
    unknown = np.full(5, -1)
    assert (copy_ratios(held_out, held_out, real, unknown) < RATIO).all()
    assert (copy_ratios(real[20:25], held_out, real, unknown) >= RATIO).all()


def test_few_real_images_are_enough(real):
    generated = real[:1] + 0.1 * (real[1] - real[0])  # the source is not among its own neighbours
    assert (copy_ratios(generated, real[:1], real[:2], np.arange(1)) < RATIO).all()


def test_the_nearest_other_image_is_never_the_image_itself(real):
    doubled = np.concatenate([real, real[::-1] + 0.001])
    assert nearest_others(doubled, np.arange(70)).tolist() == list(range(139, 69, -1))


def test_a_copy_is_found_even_if_all_neighbours_are_copies():
    blank = np.ones((60, 12), np.float32)
    assert copy_ratios(blank[:4], blank[:4], blank, np.arange(4)).tolist() == [0] * 4


def test_a_source_is_not_its_own_neighbour_wherever_it_stands_in_the_reference(real):
    rows = np.arange(0, 140, 2)  # of the train split
    reference = Reference(rows, real)
    sources, generated = real[[3, 69, 20]], real[[4, 5, 6]]
    expected = copy_ratios(generated, sources, real, np.array([3, 69, -1]))
    assert reference.ratios(generated, sources, np.array([6, 138, 41])).tolist() == expected.tolist()
    assert (expected != copy_ratios(generated, sources, real, np.array([-1, -1, 20]))).all()
