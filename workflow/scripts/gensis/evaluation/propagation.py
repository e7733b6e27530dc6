"""Propagation of labels from the first frames of a video to the next (Jabri et al. 2020), with the values of DINO."""

from collections import deque
from collections.abc import Iterable, Iterator

import torch
from torch.nn import functional as F

CONTEXT_FRAMES = 7
"""Frames before the present one whose labels are used, besides the first frame."""
RADIUS = 12
"""Labels come from places at most this many rows and columns away."""
NEAREST = 5
"""Number of places whose labels are averaged."""
TEMPERATURE = 0.1
_ROWS = 512  # places at a time, which bounds memory


def propagated(first: torch.Tensor, labels: torch.Tensor, following: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Labels of each following frame.

    Args:
        first: float32 (h, w, D), features of the first frame.
        labels: float32 (C, h, w), share of each label at each place of the first frame.
        following: features of the other frames, in order.

    Yields:
        float32 (C, h, w) for each frame.
    """
    start = (F.normalize(first.flatten(0, 1)), labels)
    recent: deque[tuple[torch.Tensor, torch.Tensor]] = deque(maxlen=CONTEXT_FRAMES)
    for frame in following:
        features = F.normalize(frame.flatten(0, 1))
        context = [start, *recent]
        found = _labels(
            features,
            torch.cat([each for each, _ in context]),
            torch.cat([each.flatten(1) for _, each in context], dim=1),
            places=places(*frame.shape[:2], device=frame.device),
        )
        found = found.unflatten(1, frame.shape[:2])
        recent.append((features, found))
        yield found


def places(height: int, width: int, device: torch.device) -> torch.Tensor:
    """Row and column of each place: int64 (h w, 2)."""
    return torch.cartesian_prod(torch.arange(height, device=device), torch.arange(width, device=device))


def _labels(
    features: torch.Tensor, context: torch.Tensor, labels: torch.Tensor, *, places: torch.Tensor
) -> torch.Tensor:
    """float32 (C, P) labels of P places from those of all context frames: (M P, D) features and (C, M P) labels."""
    frames = len(context) // len(features)
    parts = []
    for rows in torch.arange(len(features), device=features.device).split(_ROWS):
        near = ((places[rows, None] - places[None]).abs() <= RADIUS).all(dim=2).repeat(1, frames)
        weights = (features[rows] @ context.T / TEMPERATURE).exp() * near
        least = weights.topk(min(NEAREST, weights.shape[1]), dim=1).values[:, -1:]
        weights = weights.masked_fill(weights < least, 0)
        parts.append(labels @ (weights / weights.sum(dim=1, keepdim=True)).T)
    return torch.cat(parts, dim=1)
