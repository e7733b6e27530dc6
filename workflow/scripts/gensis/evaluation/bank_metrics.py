"""Quality metrics of a bank, each with a floor and a ceiling that are measured on reference images."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from gensis.evaluation.bank_features import ImageFeatures
from gensis.evaluation.bootstrap import intervals
from gensis.evaluation.copying import RATIO, Reference, nearest_others
from gensis.evaluation.detection import probe_accuracy
from gensis.evaluation.distances import BLOCKS, frechet_distance, kernel_distance
from gensis.evaluation.diversity import direction_distances, pixel_deviations
from gensis.evaluation.fidelity import along_alpha, cosines, ranks

FEWEST = 2 * BLOCKS
"""Smallest number of sources that metrics are measured on: each block of the kernel distance needs two."""
_MOST_FOR_PROBES = 1000  # real and generated images each: the accuracy of a probe is then known to 1 or 2 points
_MOST_APART = 64  # pairs of real images that the ceiling of diversity averages over

Figures = list[dict[str, Any]]
"""Metrics as dictionaries: `figure` (name), `value`, `error` (standard error or None), `low` and `high` (95 % interval
or None), `floor`, `ceiling` and `n`."""


def figure(
    name: str,
    value: float,
    floor: float,
    ceiling: float,
    *,
    n: int,
    error: float | None = None,
    interval: tuple[float | None, float | None] = (None, None),
) -> dict[str, Any]:
    """One metric as a dictionary; floor and ceiling are its values on reference images."""
    low, high = interval
    return {
        "figure": name,
        "value": float(value),
        "error": error,
        "low": low,
        "high": high,
        "floor": float(floor),
        "ceiling": float(ceiling),
        "n": n,
    }


def fidelity(
    name: str, generated: np.ndarray, conditions: np.ndarray, *, views: np.ndarray, own: np.ndarray
) -> Figures:
    """Cosine similarity of re-encoded generated images with their conditions.

    The floor is the similarity with the conditions of other images, the ceiling that between real images and views.

    Args:
        name: name of the metric.
        generated: float32 (n, D): embeddings of generated images.
        conditions: float32 (n, D): the conditions that they were generated from.
        views: float32 (m, D): embeddings of ordinary augmentations of real images.
        own: float32 (m, D): embeddings of these real images.
    """
    permuted = np.roll(conditions, 1, axis=0)
    floor, ceiling = cosines(generated, permuted).mean(), cosines(views, own).mean()
    return [figure(name, cosines(generated, conditions).mean(), floor, ceiling, n=len(generated))]


def retrieval(
    generated: np.ndarray, views: np.ndarray, *, sources: np.ndarray, features: np.ndarray, device: torch.device
) -> Figures:
    """Retrieval of the source among all real images: share at rank 1, and median rank.

    The ceiling is measured on views of the sources, the floor is chance. Arguments as in `fidelity.ranks`.
    """
    of_generated, of_views = (ranks(images, sources, features, device) for images in (generated, views))
    images, n = len(features), len(generated)
    return [
        figure("source_nearest", (of_generated == 1).mean(), 1 / images, (of_views == 1).mean(), n=n),
        figure("source_rank", np.median(of_generated), (images + 1) / 2, np.median(of_views), n=n),
    ]


def resemblance(
    real: ImageFeatures, sources: ImageFeatures, generated: ImageFeatures, blurred: ImageFeatures
) -> Figures:
    """Distances between distributions of images: from real images to generated ones.

    The floor is the distance to other real images, the ceiling the distance to blurred images.

    Args:
        real: n real images that no image was generated from.
        sources: n other real images, the sources.
        generated: images that were generated from the sources.
        blurred: the sources, blurred.
    """
    first, floor, value, ceiling = (images.spaces() for images in (real, sources, generated, blurred))
    found = []
    for space in first:
        distances = (frechet_distance(first[space], other[space]) for other in (value, floor, ceiling))
        found.append(figure(f"frechet_{space}", *distances, n=len(real)))
    for space in first:
        (distance, error), (low, _), (high, _) = (
            kernel_distance(first[space], other[space]) for other in (value, floor, ceiling)
        )
        found.append(figure(f"kernel_{space}", distance, low, high, n=len(real), error=error))
    return found


def detection(real: ImageFeatures, generated: ImageFeatures, device: torch.device) -> Figures:
    """Accuracy of linear probes that classify images as real or generated. The real images are no sources."""
    n = min(len(real), _MOST_FOR_PROBES)
    spaces = zip(("encoder", "pixels"), (real.encoder, real.pixels), (generated.encoder, generated.pixels))
    return [
        figure(f"real_vs_generated_accuracy_{name}", probe_accuracy(first[:n], second[:n], device), 0.5, 1.0, n=n)
        for name, first, second in spaces
    ]


def copying(
    name: str, generated: np.ndarray, sources: np.ndarray, *, rows: np.ndarray, reference: Reference
) -> Figures:
    """Share of generated images that are near duplicates of their source: their copy ratio is below 1/3.

    The floor is the share of real images whose nearest other real image is a near duplicate. Arguments after ``name``,
    the name of the metric, as in `Reference.ratios`.
    """
    found = reference.ratios(generated, sources, rows) < RATIO
    nearest = reference.pixels[nearest_others(reference.pixels, np.arange(len(reference.rows)))]
    floor = reference.ratios(nearest, reference.pixels, reference.rows) < RATIO
    return [figure(name, found.mean(), floor.mean(), 1.0, n=len(found))]


def diversity(generated: ImageFeatures, views: ImageFeatures, real: ImageFeatures, resamples: int) -> Figures:
    """Differences between images that are generated from the same condition.

    The floor is the difference between two views of an image, the ceiling that between two real images. Two images per
    condition suffice: for a given number of images, more conditions give a more precise mean.

    Args:
        generated: two images per condition, in consecutive rows.
        views: two views per source, in consecutive rows.
        real: real images.
        resamples: bootstrap resamples of the conditions; 0 for no intervals.
    """
    centre = real.random.mean(axis=0)
    measures: dict[str, Callable[[ImageFeatures], np.ndarray]] = {
        "diversity_random": lambda images: direction_distances(*_pairs(images.random), centre),
        "diversity_pixels": lambda images: pixel_deviations(*_pairs(images.pixels)),
    }
    found = []
    for name, measure in measures.items():
        apart = measure(generated)
        interval = mean_interval(apart, resamples)
        floor, ceiling = measure(views).mean(), measure(real)[:_MOST_APART].mean()
        found.append(figure(name, apart.mean(), floor, ceiling, n=len(apart), interval=interval))
    return found


def _pairs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of consecutive rows: the first, third, ... rows and the second, fourth, ... rows."""
    pairs = len(values) // 2
    return values[: 2 * pairs : 2], values[1 : 2 * pairs : 2]


def mean_interval(values: np.ndarray, resamples: int) -> tuple[float | None, float | None]:
    """95 % bootstrap interval of the mean of independent values, float (n,); None without resamples."""
    bounds = intervals(lambda weights: {"mean": values @ weights / weights.sum(0)}, np.arange(len(values)), resamples)
    return bounds.get("mean", (None, None))


def interpolation(
    generated: np.ndarray,
    *,
    ends: np.ndarray,
    alpha: np.ndarray,
    sources: np.ndarray,
    partners: np.ndarray,
    features: np.ndarray,
    device: torch.device,
) -> tuple[Figures, list[dict[str, Any]]]:
    """Similarity of interpolated images to their source and partner.

    Args:
        generated: float32 (n, D): embeddings of interpolated images.
        ends: float32 (n, D): embeddings of images of the sources alone, which stand for alpha 1; or (0, D).
        alpha: float32 (n,): weight of the source.
        sources: int64 (n,): rows of the sources in ``features``.
        partners: int64 (n,): rows of the partners in ``features``.
        features: float32 (N, D): embeddings of all real images.
        device: device that the similarities are computed on.

    Returns:
        Metrics: the share of images whose two nearest real images are their source and partner. And this share with the
        cosine similarities to both, by alpha, see `along_alpha`.
    """
    count = len(generated)
    both = (ranks(generated, sources, features, device) <= 2) & (ranks(generated, partners, features, device) <= 2)
    pairs = len(features) * (len(features) - 1) / 2
    figures = [figure("both_sources_top2", both.mean(), 1 / pairs, 1.0, n=count)]
    along = along_alpha(
        alpha,
        source=cosines(generated, features[sources]),
        partner=cosines(generated, features[partners]),
        both_sources_top2=both,
    )
    if len(ends) and alpha.max() < 1:
        to_source, to_partner = cosines(ends, features[sources]), cosines(ends, features[partners])
        along += along_alpha(np.ones(count), source=to_source, partner=to_partner)
    return figures, along
