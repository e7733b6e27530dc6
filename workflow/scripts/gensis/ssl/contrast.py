"""What contrastive methods share: projection heads, and disentangling the sources of an interpolated image."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from gensis.ssl.batch import InterpolatedViews
from gensis.training.distributed import World

GUESSING = 0.999
"""Part of the loss of equal outputs above which nothing is learnt; rounding alone changes it by less."""
_EXCLUDED = -1e9  # similarity of an image that is not compared; finite, because 0 times infinity is not a number


def mlp(widths: list[int], last_norm: nn.Module) -> nn.Sequential:
    """Linear layers without bias, with BatchNorm and ReLU between them, and ``last_norm`` at the end."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(*widths[-2:], bias=False), last_norm)


def own_places(count: int, world: World, device: torch.device) -> torch.Tensor:
    """Places of this process's ``count`` rows among those that `World.gathered` gives: int64 (count,)."""
    return world.rank * count + torch.arange(count, device=device)


def is_nearest(similarities: torch.Tensor, positives: torch.Tensor) -> torch.Tensor:
    """Share of anchors whose positive is the most similar candidate, for (B, C) similarities and (B,) positives."""
    return (similarities.argmax(1) == positives).float().mean()


def collapse(loss: float, uniform_loss: float) -> str:
    """Describe a collapse: a loss as large as that of equal outputs; empty if there is none."""
    if loss < GUESSING * uniform_loss:
        return ""
    return "all images have the same output (the loss is that of guessing): change learning_rate or temperature"


def sources_loss(
    anchors: torch.Tensor,
    sources: torch.Tensor,
    partners: torch.Tensor,
    *,
    interpolated: InterpolatedViews,
    temperature: float,
    world: World,
) -> torch.Tensor:
    """Cross-entropy of recognising the two sources of interpolated images among all images of the batch.

    The target is alpha for the source and 1 - alpha for its partner, as in i-Mix (Lee et al. 2021, arXiv 2010.08887)
    and MixCo (Kim et al. 2020, arXiv 2010.06300), which mix images of one batch. The partners of a bank lie outside the
    batch and join it. Another view of one of the two images is no wrong answer, and is left out.

    Args:
        anchors: unit outputs (B, D) of the interpolated images.
        sources: unit outputs (B, D) of a view of each source.
        partners: unit outputs (B, D) of a view of each partner.
        interpolated: alpha, rows and counts of the interpolated images.
        temperature: of the softmax.
        world: this process among all, whose sources and partners are compared too.

    Returns:
        The mean over B, weighted by the counts.
    """
    first, second = (world.gathered(rows) for rows in interpolated.rows)
    candidates, rows = torch.cat([world.gathered(sources), world.gathered(partners)]), torch.cat([first, second])
    similarities = anchors @ candidates.T / temperature
    of_source = own_places(len(anchors), world, anchors.device)
    places = torch.stack([of_source, of_source + len(first)], 1)
    alpha = interpolated.alpha.to(similarities.dtype)
    targets = torch.zeros_like(similarities).scatter(1, places, torch.stack([alpha, 1 - alpha], 1))
    same_image = (rows == interpolated.rows.unsqueeze(2)).any(0).scatter(1, places, False)
    losses = F.cross_entropy(similarities.masked_fill(same_image, _EXCLUDED), targets, reduction="none")
    return (losses * interpolated.counts).mean()
