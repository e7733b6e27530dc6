"""Chooses the images of a step as a function of seed, step and process, so that they can be prefetched."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from gensis.images.reading import Images
from gensis.settings.pretraining import Pretraining, Retraining
from gensis.ssl.bank_images import SyntheticImages
from gensis.ssl.rates import disentangles_at, generative_probability
from gensis.training.loop import step_seed


@dataclass(frozen=True)
class Pick:
    """Images to read."""

    images: Images
    rows: torch.Tensor
    """int64 (B,), on the CPU."""

    def read(self) -> torch.Tensor:
        """uint8 (B, 3, height, width), on the device."""
        return self.images.batch(self.rows)


@dataclass(frozen=True)
class Pairs:
    """The images that the views of a batch show: an image alone or, where ``has`` is true, with a synthetic image."""

    image: Pick
    synthetic: Pick | None
    has: torch.Tensor
    """bool (B,)."""
    slot: torch.Tensor
    """int64 (B,): which global view is the synthetic one."""


@dataclass(frozen=True, kw_only=True)
class Interpolations:
    """Interpolated images of the sources, which are the images of the batch, and their partners."""

    generated: Pick | None
    """Generated interpolated images. None: to be interpolated in pixels from sources and partners."""
    partners: tuple[Pick, ...]
    """An image of the partner for each kind of target."""
    of_synthetic: tuple[bool, ...]
    """Whether each kind of target uses the synthetic view of the source."""
    alpha: torch.Tensor
    """float32 (B,): weight of the source."""
    counts: torch.Tensor
    """bool (B,): False where a source has no interpolated image or target."""
    rows: torch.Tensor
    """int64 (2, B): rows of the sources and of the partners."""


@dataclass(frozen=True)
class Choice:
    """All images that a step reads."""

    pairs: Pairs
    interpolations: Interpolations | None

    def picks(self) -> Iterator[Pick]:
        """All images to read."""
        pairs, interpolations = self.pairs, self.interpolations
        both = (interpolations.generated, *interpolations.partners) if interpolations else ()
        yield from filter(None, (pairs.image, pairs.synthetic, *both))


class Chooser:
    """Chooses real images and the images of a bank that the settings use."""

    def __init__(
        self,
        settings: Pretraining,
        images: Images,
        *,
        generative: SyntheticImages | None,
        interpolated: SyntheticImages | None,
        seed: int,
        rank: int,
        steps: int,
    ):
        """Choose for process number ``rank`` of a training of ``steps``; see `Pretrainer` for the other arguments."""
        self._settings, self._images, self._seed, self._rank, self._steps = settings, images, seed, rank, steps
        has_bank = isinstance(settings, Retraining)
        self._generative = generative if has_bank and settings.largest_generative_probability > 0 else None
        self._interpolated = interpolated if has_bank and settings.disentangle_weight > 0 else None
        self.disentangles = self._interpolated is not None

    def choose(self, rows: torch.Tensor, step: int) -> Choice:
        """The images that step number ``step`` shows for int64 (B,) rows."""
        # Draws for the bank have a separate generator: training with a bank of copies equals training without a bank.
        draws = torch.Generator().manual_seed(step_seed(self._seed, step, self._rank) ^ 1)
        pairs = self._pairs(rows, step, draws)
        if self.disentangles and disentangles_at(step, self._seed, self._settings):
            return Choice(pairs, self._interpolations(rows, pairs, draws))
        return Choice(pairs, None)

    def _pairs(self, rows: torch.Tensor, step: int, draws: torch.Generator) -> Pairs:
        real, bank, settings = Pick(self._images, rows), self._generative, self._settings
        if bank is None:
            return Pairs(real, None, torch.zeros(len(rows), dtype=torch.bool), torch.zeros(len(rows), dtype=torch.long))
        if settings.real_images:
            positions, has = bank.choose(rows, draws)
            image, synthetic = real, Pick(bank.images, positions)
        else:
            positions, has = bank.choose_two(rows, draws)
            image, synthetic = (Pick(bank.images, variant) for variant in positions)
        probability = generative_probability(step, self._steps, settings)
        has = has & (torch.rand(len(rows), generator=draws) < probability)
        return Pairs(image, synthetic, has, torch.randint(2, (len(rows),), generator=draws))

    def _interpolations(self, rows: torch.Tensor, pairs: Pairs, draws: torch.Generator) -> Interpolations:
        bank, settings = self._interpolated, self._settings
        positions, counts = bank.choose(rows, draws)
        partner = bank.partner[positions].long()
        partners, of_synthetic = [], []
        if settings.real_images and settings.disentangle_targets != "generative":
            partners.append(Pick(self._images, partner))
            of_synthetic.append(False)
        if not settings.real_images or settings.disentangle_targets != "real":
            of_partner, has = self._generative.choose(partner, draws)
            counts = counts & has & pairs.has  # the source must show a synthetic image too
            partners.append(Pick(self._generative.images, of_partner))
            of_synthetic.append(True)
        generated = Pick(bank.images, positions) if settings.interpolation == "embedding" else None
        of_images = torch.stack([rows, partner])
        return Interpolations(
            generated=generated,
            partners=tuple(partners),
            of_synthetic=tuple(of_synthetic),
            alpha=bank.alpha[positions],
            counts=counts,
            rows=of_images,
        )
