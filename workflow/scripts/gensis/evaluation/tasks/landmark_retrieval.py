"""Landmark retrieval on revisited Oxford and Paris (Radenovic et al. 2018) with the protocol of DINO.

Queries are whole images, whereas the benchmark's authors cut out the landmark.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from gensis.evaluation.benchmark import BenchmarkData, Items, open_image
from gensis.evaluation.landmarks import Landmarks, read_landmarks
from gensis.evaluation.ranked import average_precision, by_chance
from gensis.progress import progress

_SCALES = (1.0, 2**-0.5, 0.5)
# Lists whose images are to be found, and lists whose images are taken out of the ranking.
_LEVELS = {"medium": (("easy", "hard"), ("junk",)), "hard": (("hard",), ("junk", "easy"))}


def measure(data: BenchmarkData) -> Items:
    """Average precision of each query, medium and hard; NaN if a query has no image of that level."""
    landmarks = read_landmarks(Path(data.settings.ground_truth))
    folder = Path(data.settings.path) / "jpg"
    found, queries = (embedded(folder, names, data) for names in (landmarks.images, landmarks.queries))
    order = (queries @ found.T).argsort(dim=1, descending=True).cpu().numpy()
    scores, expected = {}, {}
    for level in _LEVELS:
        precision = [scored(landmarks, query, row, level) for query, row in enumerate(order)]
        scores[f"average_precision_{level}"], expected[f"average_precision_{level}"] = np.array(precision).T
    return Items(names=landmarks.queries, groups=landmarks.queries, scores=scores, expected=expected)


def scored(landmarks: Landmarks, query: int, order: np.ndarray, level: str) -> tuple[float, float]:
    """Average precision of a query whose images are ranked int (N,), and that of a random order."""
    wanted, ignored = (np.concatenate([landmarks.lists[query][name] for name in names]) for names in _LEVELS[level])
    kept = order[~np.isin(order, ignored)]
    relevant = np.isin(kept, wanted)
    return average_precision(relevant, len(wanted)), by_chance(len(wanted), len(kept), len(kept))


def embedded(folder: Path, names: Sequence[str], data: BenchmarkData) -> torch.Tensor:
    """Embeddings of unit length, float32 (n, D), of images that keep their aspect ratio."""
    largest, scales = (data.settings.image_px,) * 2, _SCALES if data.settings.multi_scale else _SCALES[:1]
    parts = []
    for name in progress(names, len(names), "images"):
        image = open_image(folder / f"{name}.jpg")
        image.thumbnail(largest, Image.Resampling.LANCZOS)
        parts.append(sum(data.encode(_scaled(data.pixels(image), scale))[0] for scale in scales))
    return F.normalize(torch.cat(parts))


def _scaled(images: torch.Tensor, scale: float) -> torch.Tensor:
    return images if scale == 1 else F.interpolate(images.float(), scale_factor=scale, mode="bilinear")
