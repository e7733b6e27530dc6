"""The number of parts in which a batch goes through the networks, so that it fits in the memory of the device."""

import logging
import math
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from gensis.errors import UserError
from gensis.settings.methods import METHODS
from gensis.settings.pretraining import Pretraining
from gensis.ssl.batch import Batch
from gensis.training.distributed import World
from gensis.training.memory import Memory, Result, random_state, within_memory

log = logging.getLogger(__name__)

MARGIN = 0.1
"""Fraction of the free memory that stays free, for fragmentation and the evaluations during a training."""
PROBED_PARTS = 64
"""The probe measures a part of this many, and one twice as large."""
_SMALLER = "lower runtime.image_cache_gb, or choose a smaller backbone, or fewer or smaller views"
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)


class Accumulation:
    """The number of parts of each batch: the given one or, with `auto`, one that is chosen once."""

    def __init__(self, settings: Pretraining, world: World, device: torch.device, memory: Memory | None):
        """Choose a single part where there is no ``memory`` to measure, on a CPU."""
        given = settings.gradient_accumulation
        self.is_automatic = given == "auto"
        self.parts: int | None = given
        if self.is_automatic:
            self.parts = None if memory else 1
        self._can_divide = not METHODS[settings.method].compares_images
        self._world, self._device, self.memory = world, device, memory

    def choose(self, draw: Callable[[], Batch], work: Callable[[Batch], None], reserved_bytes: int) -> None:
        """Choose the fewest parts that fit, the same in all processes. Random generators stay as they are.

        Args:
            draw: draws a batch that needs the most memory.
            work: forward and backward pass of a part of it.
            reserved_bytes: what a training needs besides, and has not yet allocated.

        Raises:
            UserError: not even one image fits.
        """
        restore = random_state(self._device)
        batch = draw()
        peaks = self._peaks(batch, work)
        free = self.memory.free_bytes() - reserved_bytes
        fewest = fewest_parts(len(batch), peaks, free) if len(batch) > 1 else 1  # one image has fitted, undivided
        self.parts = self._world.largest(fewest)
        log.info("gradient_accumulation: %d, for %.1f GB of free memory", self.parts, free / 1e9)
        restore()

    def _peaks(self, batch: Batch, work: Callable[[Batch], None]) -> dict[int, int]:
        """Number of images -> bytes that ``work`` needs for them: parts of two sizes, small enough to fit."""
        count = min(PROBED_PARTS, len(batch))

        def measured() -> dict[int, int]:
            probes = [batch.split(each)[0] for each in (count, max(count // 2, 1))]
            work(probes[0])  # allocates what stays: gradients and workspaces
            return {len(part): self.memory.peak_bytes(partial(work, part)) for part in probes}

        def smaller() -> None:
            nonlocal count
            if count == len(batch) or self._world.size > 1:  # other processes would wait for the one that repeats
                images = min(-(-2 * len(batch) // count), len(batch))
                raise UserError(f"the GPU's memory is full with {images} images at a time: {_SMALLER}")
            count = min(2 * count, len(batch))

        return within_memory(measured, smaller, self._device)

    def within_memory(self, images: int, work: Callable[[], Result]) -> Result:
        """The result of ``work``, which is done again with more parts where the memory is full.

        Args:
            images: in the batch.
            work: does not change the training's state, up to gradients.

        Raises:
            UserError: the number of parts is given, or cannot be raised here.
        """
        return within_memory(work, partial(self._double, images), self._device)

    def _double(self, images: int) -> None:
        """Divide batches of ``images`` into twice as many parts."""
        full = f"the GPU's memory is full with gradient_accumulation {self.parts}"
        more = min(2 * self.parts, images)
        if not self._can_divide:
            raise UserError(f"{full}: lower pretraining.batch_size, or runtime.image_cache_gb, and run again")
        if self.parts >= images:
            raise UserError(f"{full}, one image a part: {_SMALLER}")
        if not self.is_automatic:
            raise UserError(
                f"{full}: set pretraining.gradient_accumulation: {more}, or auto unless the networks have BatchNorm, "
                "which trains anew, or lower runtime.image_cache_gb, and run again"
            )
        if self._world.size > 1:  # the others wait for this process, so it cannot repeat its share of the step alone
            raise UserError(
                f"{full}: lower runtime.image_cache_gb, and run again to resume from the last checkpoint, or set "
                f"pretraining.gradient_accumulation: {more}, which trains anew"
            )
        self.parts = more
        log.warning("WARNING: %s: repeating the step with %d parts, which are kept", full, self.parts)


def fewest_parts(images: int, peaks: dict[int, int], free_bytes: int) -> int:
    """The fewest parts of a batch that fit in memory, with a margin.

    A part of n images is taken to need a constant + n x bytes of an image.

    Args:
        images: in the batch.
        peaks: number of images in a part -> bytes that its pass needed; two parts of different size.
        free_bytes: for a part.

    Raises:
        UserError: not even one image fits.
    """
    (few, fewer_bytes), (many, more_bytes) = sorted(peaks.items())
    image_bytes = max((more_bytes - fewer_bytes) / (many - few), 1.0)
    constant_bytes = max(fewer_bytes - few * image_bytes, 0.0)
    fitting = math.floor(((1 - MARGIN) * free_bytes - constant_bytes) / image_bytes)
    if fitting < 1:
        raise UserError(
            f"one image needs {(constant_bytes + image_bytes) / 1e9:.1f} GB in training, of which "
            f"{max(free_bytes, 0) / 1e9:.1f} GB are free here: {_SMALLER}"
        )
    return math.ceil(images / fitting)


def check_statistics(network: nn.Module, settings: Pretraining) -> None:
    """Refuse `auto` where the number of parts would change the results.

    Raises:
        UserError: the networks have BatchNorm, whose statistics would be those of parts.
    """
    if settings.gradient_accumulation == "auto" and any(isinstance(each, BATCH_NORMS) for each in network.modules()):
        raise UserError(
            f"gradient_accumulation: auto would change results, because {settings.backbone} or its head has BatchNorm, "
            "whose statistics are those of a part: set a number, 1 if a batch fits in memory"
        )
