"""Divides work on the CPU among threads: one thread per part of a batch scales better than all in each operation."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import Any

import torch


def in_threads(threads: int, function: Callable[..., Any], *arguments: Iterable) -> list[Any]:
    """``map`` in ``threads`` threads, each with one torch thread."""
    return list(_pool(threads).map(function, *arguments))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Persistent threads: new threads would request all of their memory from the kernel again."""
    of_torch = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, initializer=_use_one_thread)
    all_started = Barrier(threads)  # a pool starts no new thread while one is idle
    list(pool.map(lambda _: all_started.wait(), range(threads)))
    torch.set_num_threads(of_torch)  # for threads that start later
    return pool


def _use_one_thread() -> None:
    torch.set_num_threads(1)
    torch.get_num_threads()  # a thread's first call adopts the number that any thread set last
