"""Generation of a plan's images in batches, and their encoding at the same time."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from gensis.bank.plan import Plan, plan_generative
from gensis.images.ahead import one_ahead
from gensis.images.features import Features
from gensis.ranges import to_nchw, to_nhwc
from gensis.threads import in_threads

CPU = torch.device("cpu")
CPU_BATCH = 16

Generate = Callable[[torch.Tensor, torch.Tensor | None, torch.Tensor | None, torch.Tensor], torch.Tensor]
"""Function of (embeddings (B, D), partners' embeddings (B, D) or None, alpha (B,) or None, noise (B, C, h, w)) that
returns uint8 (B, 3, H, W)."""


def largest_batch(inference_batch_size: int, device: torch.device) -> int:
    """Largest number of images in a batch. On the CPU, each thread has its own batch, which should fit the cache."""
    return min(inference_batch_size, CPU_BATCH) if device.type == "cpu" else inference_batch_size


def even_batch_size(images: int, largest: int) -> int:
    """Images in a batch, at most ``largest``, such that ``images`` fill the batches with the least padding."""
    batches = -(-images // largest)
    return -(-images // batches)


def generate_plan(
    plan: Plan,
    embeddings: torch.Tensor | Features,
    *,
    noise_shape: tuple[int, int, int],
    generate: Generate,
    batch_size: int,
    start: int = 0,
    device: torch.device = CPU,
    threads: int = 1,
) -> Iterator[np.ndarray]:
    """Generate the images of a plan.

    All batches have ``batch_size`` images, since the batch size affects the last bits of the images. The last batch is
    padded by repetition. A GPU never waits: noise is drawn and images are copied while it generates the next batch.

    Args:
        plan: images to generate.
        embeddings: float32 (N, D) of the whole train split, in memory on the CPU or in files.
        noise_shape: (C, h, w) of the noise that an image starts from.
        generate: the diffusion model, see `Generate`.
        batch_size: images in a call of ``generate``.
        start: number of the first image to generate: a multiple of ``batch_size``, or the length of the plan.
        device: device that ``generate`` runs on.
        threads: batches that are generated at once on the CPU, each by one thread. Images do not depend on it.

    Yields:
        uint8 (n, H, W, 3), in the plan's order.
    """
    has_partners = bool((plan.partner >= 0).all())

    def arguments(first: int) -> tuple[torch.Tensor | None, ...]:
        chosen = np.arange(first, first + batch_size).clip(max=len(plan) - 1)
        noise = torch.stack([_noise(int(seed), noise_shape) for seed in plan.seed[chosen]])
        partners = embeddings[plan.partner[chosen]] if has_partners else None
        alpha = torch.from_numpy(plan.alpha[chosen]) if has_partners else None
        return embeddings[plan.source[chosen]], partners, alpha, noise

    firsts = range(start, len(plan), batch_size)
    if device.type == "cpu":
        groups = (firsts[number : number + threads] for number in range(0, len(firsts), threads))
        generated = (
            batch for group in groups for batch in in_threads(threads, lambda first: generate(*arguments(first)), group)
        )
    else:
        generated = (generate(*inputs) for inputs in _prepared(lambda first: _pinned(arguments(first)), firsts))
    for first, images in zip(firsts, _fetched(to_nhwc(images) for images in generated)):
        yield images[: len(plan) - first]


def generate_variants(
    conditions: np.ndarray,
    variants: int,
    *,
    seed: int,
    noise_shape: tuple[int, int, int],
    generate: Generate,
    inference_batch_size: int,
    device: torch.device,
    threads: int,
) -> Iterator[torch.Tensor]:
    """Generate images from conditions that need not be embeddings of the train split.

    Args:
        conditions: float32 (n, D).
        variants: images for each condition.
        seed: of their noise.
        noise_shape: see `generate_plan`, as for ``generate``, ``device`` and ``threads``.
        generate: the diffusion model.
        inference_batch_size: largest number of images in a batch.
        device: also of the images.
        threads: see `generate_plan`.

    Yields:
        uint8 (B, 3, H, W): the variants of a condition follow each other.
    """
    plan = plan_generative(range(len(conditions)), variants, seed)
    batches = generate_plan(
        plan,
        torch.from_numpy(conditions),
        noise_shape=noise_shape,
        generate=generate,
        batch_size=even_batch_size(len(plan), largest_batch(inference_batch_size, device)),
        device=device,
        threads=threads,
    )
    return (to_nchw(torch.from_numpy(batch)).to(device) for batch in batches)


def _prepared(given: Callable[[int], tuple], firsts: range) -> Iterator[tuple]:
    """Results of a function for each number; a thread computes the next one while the current one is used."""
    with ThreadPoolExecutor(1) as pool:
        for future in one_ahead(pool.submit(given, first) for first in firsts):
            yield future.result()


def _pinned(tensors: tuple[torch.Tensor | None, ...]) -> tuple[torch.Tensor | None, ...]:
    """Tensors in pinned memory, from which they are copied to a GPU asynchronously."""
    return tuple(None if tensor is None else tensor.pin_memory() for tensor in tensors)


def _fetched(generated: Iterable[torch.Tensor]) -> Iterator[np.ndarray]:
    """Images as arrays. Each batch is copied from its device while the next batch is generated."""
    return (copy.array() for copy in one_ahead(map(_Copy, generated)))


class _Copy:
    """An asynchronous copy of images to the CPU."""

    def __init__(self, images: torch.Tensor):
        self._event = None
        self._images = images
        if images.is_cuda:
            self._images = torch.empty(images.shape, dtype=images.dtype, pin_memory=True)
            self._images.copy_(images, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    def array(self) -> np.ndarray:
        """The images; waits until they are copied."""
        if self._event is not None:
            self._event.synchronize()
        return self._images.numpy()


def encode_batches(
    batches: Iterable[np.ndarray], encode: Callable[[np.ndarray], bytes], threads: int
) -> Iterator[bytes]:
    """Encode images in threads; a batch is encoded while the next batch is generated."""
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        pending: list = []
        for batch in batches:
            done, pending = pending, [pool.submit(encode, image) for image in batch]
            yield from (future.result() for future in done)
        yield from (future.result() for future in pending)


def _noise(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    # Drawn on the CPU, so that all devices start from the same noise.
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
