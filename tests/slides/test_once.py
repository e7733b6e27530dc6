import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

import numpy as np
import pytest

from gensis.slides.once import Once


def test_concurrent_requests_compute_a_result_once():
    made, lock, together = [], Lock(), Barrier(8)

    def make(number):
        with lock:
            made.append(number)
        return np.full(10, number, np.uint8)

    def ask(_):
        together.wait()
        return [int(once(number)[0]) for number in range(20)]

    once = Once(make, 1 << 20)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [list(range(20))] * 8
    assert sorted(made) == list(range(20))


def test_least_recently_used_results_are_dropped_first():
    made = []

    def make(number):
        made.append(number)
        return np.zeros(10, np.uint8)

    once = Once(make, 30)
    for number in (0, 1, 2, 0, 3, 0, 1):  # 3 drives out 1, and 1 drives out 2
        once(number)
    assert made == [0, 1, 2, 3, 1]
    once(2)
    assert made[-1] == 2
    for number in range(100):
        once(number)
    assert once._bytes <= 30
    assert len(once._results) == 3


def test_an_error_is_raised_for_every_caller():
    def fail(number):
        raise ValueError(f"no {number}")

    once = Once(fail, 100)
    for _ in range(2):
        with pytest.raises(ValueError, match="no 7"):
            once(7)


def test_none_is_a_valid_result():
    assert Once(lambda: None, 10)() is None


def test_a_cached_error_keeps_no_other_objects_alive():
    def fail():
        raise ValueError("no")

    def ask():
        region = np.zeros(10)
        with pytest.raises(ValueError, match="no"):
            once()
        return weakref.ref(region)

    once = Once(fail, 100)
    asked = [ask() for _ in range(3)]
    gc.collect()
    assert [region() for region in asked] == [None] * 3
