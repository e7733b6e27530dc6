"""Painting a plan's images, batch by batch, and encoding them meanwhile."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from gensis.bank.plan import Plan

Paint = Callable[[torch.Tensor, torch.Tensor | None, torch.Tensor | None, torch.Tensor], torch.Tensor]
"""(embeddings (B, D), partners' (B, D) or None, alpha (B,) or None, noise (B, C, h, w)) -> uint8 (B, 3, H, W)."""


def even_batch_size(images: int, largest: int) -> int:
    """Images a batch, at most ``largest``, such that ``images`` fill their batches with the fewest left empty."""
    batches = -(-images // largest)
    return -(-images // batches)


def paint_plan(
    plan: Plan,
    embeddings: torch.Tensor,
    noise_shape: tuple[int, int, int],
    paint: Paint,
    batch_size: int,
    start: int = 0,
) -> Iterator[np.ndarray]:
    """Paint the images of a plan.

    All batches have ``batch_size`` images, since a batch's size decides the last bits of its images; the last one is
    filled up by repetition.

    Args:
        plan: what to paint.
        embeddings: float32 (N, D) of the whole train split, on the CPU.
        noise_shape: of the noise that one image starts from.
        paint: the diffusion model.
        batch_size: images a call of `paint`.
        start: number of the first image to paint, a multiple of ``batch_size`` or the end.

    Yields:
        uint8 (n, H, W, 3), in the plan's order.
    """
    between = bool((plan.partner >= 0).all())
    for first in range(start, len(plan), batch_size):
        chosen = np.arange(first, first + batch_size).clip(max=len(plan) - 1)
        noise = torch.stack([_noise(int(seed), noise_shape) for seed in plan.seed[chosen]])
        partners = embeddings[plan.partner[chosen]] if between else None
        alpha = torch.from_numpy(plan.alpha[chosen]) if between else None
        images = paint(embeddings[plan.source[chosen]], partners, alpha, noise)
        yield images[: len(plan) - first].permute(0, 2, 3, 1).cpu().numpy()


def encode_batches(
    batches: Iterable[np.ndarray], encode: Callable[[np.ndarray], bytes], threads: int
) -> Iterator[bytes]:
    """Encode images by threads, a batch while the next one is painted."""
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        pending: list = []
        for batch in batches:
            done, pending = pending, [pool.submit(encode, image) for image in batch]
            yield from (future.result() for future in done)
        yield from (future.result() for future in pending)


def _noise(seed: int, shape: tuple[int, int, int]) -> torch.Tensor:
    # Drawn on the CPU, so that every device starts from the same.
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
