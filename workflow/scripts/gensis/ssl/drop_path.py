"""Stochastic depth (Huang et al. 2016, arXiv 1603.09382) that does not depend on the parts of a batch."""

import timm.layers
import torch
from torch import nn


class DropPath(timm.layers.DropPath):
    """timm's layer; of a part of a batch it drops what it would drop of the same images in the whole batch.

    It draws for the whole batch when the first part passes, and keeps these draws for the other parts. Of a whole batch
    it draws the numbers that timm's layer draws.
    """

    def __init__(self, like: timm.layers.DropPath):
        super().__init__(like.drop_prob, like.scale_by_keep)
        self._rows: torch.Tensor | None = None
        self._images, self._calls = 0, 0
        self._kept: list[torch.Tensor] = []

    def begin(self, rows: torch.Tensor | None, images: int, is_first: bool) -> None:
        """Prepare for a part; see `begin_part`. ``rows`` is None for a whole batch."""
        if is_first:
            self._kept = []
        self._rows, self._images, self._calls = rows, images, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As ``x`` (V * n, ...): V views of n images, view by view."""
        if self._rows is None or not self.training or not self.drop_prob:
            return super().forward(x)
        if self._calls == len(self._kept):
            whole = x.new_ones(len(x) // len(self._rows) * self._images, *[1] * (x.ndim - 1))
            self._kept.append(timm.layers.drop_path(whole, self.drop_prob, True, self.scale_by_keep))
        kept = self._kept[self._calls].unflatten(0, (-1, self._images))
        self._calls += 1
        return x * kept[:, self._rows].flatten(0, 1)


def replace_drop_paths(network: nn.Module) -> None:
    """Put this module's layers in the place of timm's."""
    for module in list(network.modules()):
        for name, layer in module.named_children():
            if type(layer) is timm.layers.DropPath:
                setattr(module, name, DropPath(layer))


def begin_part(network: nn.Module, part: range, images: int, device: torch.device) -> None:
    """Tell a network that its next forward pass has ``part`` of a batch of ``images``; the part from 0 comes first."""
    rows = torch.arange(part.start, part.stop, device=device) if len(part) < images else None
    for layer in network.modules():
        if isinstance(layer, DropPath):
            layer.begin(rows, images, is_first=part.start == 0)
