"""Copy detection on Copydays with the protocol of DINO (Caron et al. 2021, section 4.2.2), without whitening."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from gensis.evaluation.benchmark import BenchmarkData, Items, listed, open_image
from gensis.evaluation.ranked import average_precision, by_chance
from gensis.progress import progress

_RANKED = 20
_EXPONENT, _SMALLEST = 4, 1e-6
_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_ID = 4  # digits of a file's name that an original and its copies have in common


def measure(data: BenchmarkData) -> Items:
    """Average precision of each strongly distorted copy, among the 20 most similar of originals and distractors."""
    folder, more = Path(data.settings.path), data.settings.distractors
    originals, copies = listed(folder / "original", ".jpg"), listed(folder / "strong", ".jpg")
    distractors = [path for path in listed(Path(more), "") if path.suffix.lower() in _SUFFIXES] if more else []
    database = described([*originals, *distractors], data)
    similar = described(copies, data) @ database.T
    found = similar.topk(min(_RANKED, len(database)), dim=1).indices.cpu().numpy()
    source = np.array([path.name[:_ID] for path in originals] + [""] * len(distractors))
    groups = [path.name[:_ID] for path in copies]
    relevant = [int((source == group).sum()) for group in groups]
    scores = [average_precision(source[row] == group, n) for row, group, n in zip(found, groups, relevant)]
    return Items(
        names=tuple(path.name for path in copies),
        groups=tuple(groups),
        scores={"average_precision": np.array(scores)},
        expected={"average_precision": np.array([by_chance(n, len(database), _RANKED) for n in relevant])},
    )


def described(paths: Sequence[Path], data: BenchmarkData) -> torch.Tensor:
    """Embedding and GeM of the patch tokens, concatenated, of unit length: float32 (n, 2 D)."""
    size = (data.settings.image_px,) * 2
    parts = []
    for path in progress(paths, len(paths), "images"):
        image = open_image(path).resize(size, Image.Resampling.BICUBIC)
        embedding, tokens = data.encode(data.pixels(image))
        parts.append(torch.cat([embedding, generalised_mean(tokens)], dim=1))
    return F.normalize(torch.cat(parts))


def generalised_mean(tokens: torch.Tensor) -> torch.Tensor:
    """GeM (Radenovic et al. 2019) with exponent 4 over places: (B, D) of (B, h, w, D). Negative values count as 0."""
    return tokens.clamp(min=_SMALLEST).pow(_EXPONENT).mean(dim=(1, 2)).pow(1 / _EXPONENT)
