"""Random permutations of any length whose entries are computed one by one, without storing them."""

import numpy as np

_ROUNDS = 6


def permuted(positions: np.ndarray, count: int | np.ndarray, key: int | np.ndarray) -> np.ndarray:
    """Images of some positions under a keyed random permutation of ``count`` positions.

    A Feistel network over pairs of numbers whose product is slightly above ``count``, applied again to results beyond
    ``count`` (cycle walking; Black and Rogaway 2002, "Ciphers with arbitrary finite domains").

    Args:
        positions: int64 (n,), each from 0 to its ``count`` - 1.
        count: an integer for all positions, or int64 (n,).
        key: selects the permutation; an integer for all positions, or uint64 (n,).

    Returns:
        int64 (n,): a bijection for equal count and key.
    """
    count, key = (np.broadcast_to(value, positions.shape) for value in (count, np.asarray(key, np.uint64)))
    wide = np.ceil(np.sqrt(count)).astype(np.uint64)
    high = np.ceil(count / wide).astype(np.uint64)
    result, left = positions.astype(np.int64), np.arange(len(positions))
    while len(left):
        result[left] = _step(result[left].astype(np.uint64), wide[left], high[left], key[left])
        left = left[result[left] >= count[left]]
    return result


def mixed_key(*numbers: int | np.ndarray) -> np.ndarray:
    """Hash of some integers as uint64; arrays broadcast. Uses the finaliser of SplitMix64 (Steele et al. 2014)."""
    total = np.zeros(1, np.uint64)
    for number in numbers:
        total = total + np.asarray(number).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        total = (total ^ (total >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        total = (total ^ (total >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        total = total ^ (total >> np.uint64(31))
    return total


def _step(numbers: np.ndarray, wide: np.ndarray, high: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Permute uint64 (n,) numbers below ``wide * high``: each half in turn is shifted by a hash of the other."""
    first, second = numbers % wide, numbers // wide
    for number in range(0, _ROUNDS, 2):
        first = (first + mixed_key(key, number, second) % wide) % wide
        second = (second + mixed_key(key, number + 1, first) % high) % high
    return (first + wide * second).astype(np.int64)
