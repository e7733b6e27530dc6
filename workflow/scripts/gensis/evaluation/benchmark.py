"""What a task of a benchmark gets, and what it returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from gensis.errors import UserError
from gensis.evaluation.scoring import mean_scores
from gensis.ranges import to_nchw
from gensis.settings.benchmarks import Benchmark

Encode = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Function of images (B, 3, H, W) in 0 to 255 of any size: embeddings float32 (B, D), and patch tokens (B, h, w, D)."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkData:
    """Files, encoder and device."""

    settings: Benchmark
    encode: Encode
    device: torch.device

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """An RGB image as uint8 (1, 3, H, W) on the device."""
        return to_nchw(torch.from_numpy(np.array(image))[None]).to(self.device)


@dataclass(frozen=True, kw_only=True)
class Items:
    """Scores of the tested items: queries or objects."""

    names: tuple[str, ...]
    groups: tuple[str, ...]
    """Group of each item, such as its video: items of one group are resampled together."""
    scores: Mapping[str, np.ndarray]
    """Metric -> float (n,), NaN for items without a score."""
    expected: Mapping[str, np.ndarray]
    """The same without an encoder, as each task states."""

    def result(self, resamples: int) -> dict[str, Any]:
        """The fields of the task's JSON: mean scores with bootstrap intervals by group, and the scores of all items."""
        groups = np.unique(np.array(self.groups), return_inverse=True)[1]
        values = {
            name: [None if np.isnan(value) else float(value) for value in scores]
            for name, scores in self.scores.items()
        }
        return {
            "n": len(self.names),
            "n_groups": len(set(self.groups)),
            "metrics": mean_scores(self.scores, self.expected, groups, resamples),
            "items": {"name": list(self.names), "group": list(self.groups), **values},
        }


def open_image(path: Path) -> Image.Image:
    """A picture as RGB.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error}): download the benchmark again") from error


def listed(folder: Path, suffix: str) -> list[Path]:
    """The files of a folder with a suffix, sorted by name.

    Raises:
        UserError: there are none.
    """
    if not (found := sorted(path for path in folder.glob(f"*{suffix}") if path.is_file())):
        raise UserError(f"{folder} has no {suffix} files: download the benchmark, or correct its path")
    return found
