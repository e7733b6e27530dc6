"""Memory for the decoded images of one training, which may open several sets of them."""

import logging

import torch

from gensis.images.index import Index
from gensis.images.reading import Images, StreamedImages, decoded_gb, open_images
from gensis.training.device import free_bytes

log = logging.getLogger(__name__)

LARGEST_FRACTION = 0.5
"""Of a GPU's free memory; the rest is for the training."""


class ImageCache:
    """Opens images, and keeps those in memory that fit beside the ones opened before."""

    def __init__(self, image_cache_gb: float, device: torch.device, threads: int):
        """Keep at most ``image_cache_gb`` in all, and at most half of the memory that is free on a GPU.

        Args:
            image_cache_gb: `runtime.image_cache_gb`.
            device: device of the batches.
            threads: number of threads that read and decode.
        """
        self.device, self._threads = device, threads
        self.left_gb = image_cache_gb
        if device.type == "cuda" and (largest_gb := LARGEST_FRACTION * free_bytes(device) / 1e9) < image_cache_gb:
            log.info("caching at most %.1f GB of images, half of the GPU's free memory", largest_gb)
            self.left_gb = largest_gb

    def open(self, index: Index) -> Images:
        """See `open_images`."""
        images = open_images(index, self.device, self.left_gb, self._threads)
        if not isinstance(images, StreamedImages):
            self.count(decoded_gb(images))
        return images

    def count(self, size_gb: float) -> None:
        """Count what a training holds, so that the images opened next have less room."""
        self.left_gb -= size_gb
