"""Work distributed over threads."""

import threading

import torch

from gensis.threads import in_threads


def test_results_are_in_order_and_torch_uses_one_thread_in_each():
    before = torch.get_num_threads()
    all_take_part = threading.Barrier(3)
    numbers = range(21)
    results = in_threads(3, lambda number: (all_take_part.wait(10) >= 0, number, torch.get_num_threads()), numbers)
    assert results == [(True, number, 1) for number in numbers]
    assert torch.get_num_threads() == before


def test_threads_are_reused_by_later_calls():
    used = {thread for _ in range(5) for thread in in_threads(2, lambda _: threading.get_ident(), range(8))}
    assert len(used) <= 2
    assert threading.get_ident() not in used
