import itertools

import numpy as np
import pytest
import torch

from gensis.evaluation.neighbours import largest, neighbours

CPU = torch.device("cpu")


def values(columns: int, rows: int = 7) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(columns).normal(size=(rows, columns)).astype(np.float32))


@pytest.mark.parametrize("columns", [3, 48, 50, 1003, 5000])
def test_largest_equals_topk_for_any_number_of_columns(columns):
    table = values(columns)
    expected, where = table.topk(3)
    found, index = largest(table, 3)
    assert torch.equal(found, expected)
    assert torch.equal(index, where)


def test_largest_of_equal_values_are_distinct_columns():
    table = torch.zeros(2, 4000)
    table[0, 3990:] = 1
    found, index = largest(table, 20)
    assert found[0].tolist() == [1] * 10 + [0] * 10
    assert all(len(set(row)) == 20 for row in index.tolist())


@pytest.fixture
def threads_restored():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("threads_restored")
def test_neighbours_equal_a_plain_sort_for_any_chunk_size_and_threads():
    generator = np.random.default_rng(0)
    train, test = (generator.normal(size=(n, 6)).astype(np.float32) for n in (900, 11))
    unit = [x.astype(float) / np.linalg.norm(x, axis=1, keepdims=True) for x in (test, train)]
    expected = np.argsort(-unit[0] @ unit[1].T, axis=1)[:, :9]
    for threads, chunk_bytes in itertools.product((1, 2, 3), (1, 4 * 900 * 4, 1 << 28)):
        torch.set_num_threads(threads)
        found = torch.cat([index for _, index in neighbours(train, test, 9, device=CPU, chunk_bytes=chunk_bytes)])
        assert found.tolist() == expected.tolist()


def test_images_of_the_same_group_are_not_neighbours():
    features = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)
    groups = np.arange(40) // 4
    found = torch.cat(
        [
            index
            for _, index in neighbours(
                features, features, 36, device=CPU, chunk_bytes=4 * 40 * 9, groups=(groups, groups)
            )
        ]
    )
    for image, row in enumerate(found.tolist()):
        assert sorted(row) == [other for other in range(40) if groups[other] != groups[image]]


def test_images_of_any_of_several_groups_are_not_neighbours():
    features = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)
    groups = np.arange(40) // 4
    several = np.stack([groups, np.roll(groups, 13)], axis=1)
    parts = neighbours(features, features, 32, device=CPU, chunk_bytes=4 * 40 * 9, groups=(groups, several))
    for image, row in enumerate(torch.cat([index for _, index in parts]).tolist()):
        assert sorted(row) == [other for other in range(40) if groups[other] not in several[image]]
