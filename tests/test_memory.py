"""Memory of a process."""

import torch

from gensis.memory import keep_freed_memory


def test_keeping_freed_memory_is_harmless_with_any_c_library():
    keep_freed_memory()
    assert torch.ones(10_000_000).sum() == 10_000_000
