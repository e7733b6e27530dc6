"""The plan of a bank: the images to generate and their sources.

Each row of a plan depends only on the bank's seed, the source, the kind of image and the variant.
"""

from dataclasses import dataclass, fields

import numpy as np

from gensis.errors import UserError
from gensis.settings.bank import UniformAlphas

GENERATIVE, INTERPOLATED = "generative", "interpolated"
_STREAMS = {GENERATIVE: 0, INTERPOLATED: 1}
_SEEDS = np.iinfo(np.int64).max


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Images to generate, ordered by source and then by variant. The fields are the columns of the bank."""

    source: np.ndarray
    """int64 (M,): row of the source in the train split."""
    partner: np.ndarray
    """int64 (M,): row of the partner in the train split; -1 if the condition is the source's embedding."""
    alpha: np.ndarray
    """float32 (M,): weight of the source against the partner; 1 without a partner."""
    variant: np.ndarray
    """int32 (M,): number of the image among those of its source."""
    seed: np.ndarray
    """int64 (M,): seed of the noise that the image starts from."""

    def __len__(self) -> int:
        return len(self.source)

    def columns(self) -> dict[str, np.ndarray]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def plan_generative(
    sources: range, variants: int, bank_seed: int, *, neighbours: np.ndarray | None = None, share: float = 0.0
) -> Plan:
    """The plan of images that are generated from one source each: ``variants`` per source.

    Args:
        sources: rows of n sources.
        variants: images of each source.
        bank_seed: seed of the bank.
        neighbours: int64 (n, k): rows of the neighbours of each source. One is drawn for each image, as its partner;
            the noise of the image stays the same.
        share: share of the way from the source to that neighbour.
    """
    rows = []
    for number, source in enumerate(sources):
        for variant in range(variants):
            draw = _draw(bank_seed, source, GENERATIVE, variant)
            seed = draw.integers(_SEEDS)
            partner = -1 if neighbours is None else draw.choice(neighbours[number])
            rows.append((source, partner, 1.0 - share, variant, seed))
    return _plan(rows)


def plan_interpolated(sources: range, images: int, alphas: tuple[float, ...] | UniformAlphas, bank_seed: int) -> Plan:
    """The plan of images that are interpolated between a source and a partner, drawn at random for every image.

    Args:
        sources: rows of the sources.
        images: number of images in the whole train split, from which partners are drawn.
        alphas: weights of the source, one image each; or a range to draw one weight from.
        bank_seed: seed of the bank.

    Raises:
        UserError: the train split has only one image.
    """
    count = 1 if isinstance(alphas, UniformAlphas) else len(alphas)
    if count and images < 2:
        raise UserError("interpolation needs two images, but the train split has one: set the bank's alphas: []")
    rows = []
    for source in sources:
        for variant in range(count):
            draw = _draw(bank_seed, source, INTERPOLATED, variant)
            partner = draw.integers(images - 1)
            alpha = draw.uniform(*alphas.uniform) if isinstance(alphas, UniformAlphas) else alphas[variant]
            rows.append((source, partner + (partner >= source), alpha, variant, draw.integers(_SEEDS)))
    return _plan(rows)


def _draw(bank_seed: int, source: int, kind: str, variant: int) -> np.random.Generator:
    return np.random.default_rng([bank_seed, source, _STREAMS[kind], variant])


def _plan(rows: list[tuple[int, int, float, int, int]]) -> Plan:
    source, partner, alpha, variant, seed = zip(*rows) if rows else [()] * 5
    return Plan(
        source=np.array(source, np.int64),
        partner=np.array(partner, np.int64),
        alpha=np.array(alpha, np.float32),
        variant=np.array(variant, np.int32),
        seed=np.array(seed, np.int64),
    )
