"""Divides work on the CPU among threads: one thread per part of a batch scales better than all in each operation."""

import ctypes
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import Any

import torch

_LARGEST_KEPT_BYTES = 1 << 30
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def keep_freed_memory() -> None:
    """Let this process keep freed memory.

    The tensors of each batch have the sizes of the last. glibc would request their memory from the kernel again, page
    by page, which took a fifth of the time of views.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):  # only in glibc
        mallopt(_M_TRIM_THRESHOLD, _LARGEST_KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)


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
