"""Work on the CPU divided among threads: one in each part of a batch scales better than all in each operation."""

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
    """Let this process keep what it frees: each batch's tensors are as large as those before, and glibc would fetch
    them from the kernel again, page by page, which took a fifth of the time of views.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):  # glibc's
        mallopt(_M_TRIM_THRESHOLD, _LARGEST_KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)


def in_threads(threads: int, function: Callable[..., Any], *arguments: Iterable) -> list[Any]:
    """``map`` in so many threads, in each of which torch uses one."""
    return list(_pool(threads).map(function, *arguments))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that stay: new ones would have to ask the kernel for all of their memory again."""
    of_torch = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, initializer=_use_one_thread)
    all_started = Barrier(threads)  # a pool starts no thread while one of its own is idle
    list(pool.map(lambda _: all_started.wait(), range(threads)))
    torch.set_num_threads(of_torch)  # what threads that start later use
    return pool


def _use_one_thread() -> None:
    torch.set_num_threads(1)
    torch.get_num_threads()  # a thread that asks for the first time takes the number that was set last, by any thread
