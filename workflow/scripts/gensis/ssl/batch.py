"""What a step learns from: views of the images of its rows, and with a bank of synthetic ones (arXiv 2412.01672)."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch

from gensis.augment.views import ViewRecipe, view
from gensis.images.reading import Images
from gensis.settings.pretraining import Pretraining, Retraining
from gensis.ssl.bank_images import SyntheticImages
from gensis.ssl.bank_views import BatchViews, mixed_views, real_views
from gensis.training.device import copied


@dataclass(frozen=True)
class Between:
    """Images interpolated between a source, which is an image of the batch, and its partner."""

    views: torch.Tensor
    """float32 (B, 3, S, S)."""
    partners: torch.Tensor
    """As many views of the partners."""
    alpha: torch.Tensor
    """float32 (B,): weight of the source."""
    counts: torch.Tensor
    """float32 (B,): 1; 0 where the source has no interpolated image."""

    def part(self, rows: slice) -> "Between":
        """Some of them."""
        return Between(self.views[rows], self.partners[rows], self.alpha[rows], self.counts[rows])


@dataclass(frozen=True)
class Batch:
    """Normalised views of B images."""

    views: BatchViews
    between: Between | None = None

    def __len__(self) -> int:
        return len(self.views.real_slot)

    def split(self, count: int) -> list["Batch"]:
        """The batch in ``count`` parts of equal size, as far as it divides; fewer if it has not as many images."""
        bounds = [len(self) * number // count for number in range(count + 1)]
        return [self._part(slice(*pair)) for pair in pairwise(bounds) if pair[0] < pair[1]]

    def _part(self, rows: slice) -> "Batch":
        of_all = self.views
        views = BatchViews(of_all.global_views[:, rows], of_all.local_views[:, rows], of_all.real_slot[rows])
        return Batch(views, self.between and self.between.part(rows))


class Batches:
    """Draws batches, views by torch's global generators, and normalises them."""

    def __init__(
        self,
        settings: Pretraining,
        recipes: tuple[ViewRecipe, ViewRecipe, ViewRecipe],
        images: Images,
        device: torch.device,
        normalise: Callable[[torch.Tensor], torch.Tensor],
        generative: SyntheticImages | None = None,
        interpolated: SyntheticImages | None = None,
    ):
        """Draw from ``images``, and from those of a bank that the settings give a part to (see `Pretrainer`).

        ``normalise`` brings views (..., 3, S, S) to the encoder's mean and deviation, in place.
        """
        self._normalise = normalise
        self._settings, self._recipes, self._images, self._device = settings, recipes, images, device
        self._generative = generative if _of_bank(settings, "generative_probability") else None
        self._interpolated = interpolated if _of_bank(settings, "disentangle_weight") else None

    def draw(self, rows: torch.Tensor) -> Batch:
        """The batch of int64 (B,) rows on the CPU."""
        # What concerns the bank is drawn from a stream of its own: a bank of copies trains exactly as no bank does.
        draws = torch.Generator().manual_seed(torch.initial_seed() ^ 1)
        views = self._views(rows, draws)
        between = self._between(rows, draws) if self._interpolated else None
        for made in (views.global_views, views.local_views, *([between.views, between.partners] if between else [])):
            self._normalise(made)
        return Batch(views, between)

    def _views(self, rows: torch.Tensor, draws: torch.Generator) -> BatchViews:
        settings, real = self._settings, self._images.batch(rows)
        if self._generative is None:
            return real_views(real, self._recipes, settings.views.local_crops)
        positions, has = self._generative.choose(rows, draws)
        has = has & (torch.rand(len(rows), generator=draws) < settings.generative_probability)
        slot = torch.randint(2, (len(rows),), generator=draws)
        return mixed_views(
            real,
            self._generative.images.batch(positions),
            copied(has, self._device),
            copied(slot, self._device),
            self._recipes,
            settings.views.local_crops,
            settings.generative_local_fraction,
        )

    def _between(self, rows: torch.Tensor, draws: torch.Generator) -> Between:
        bank, recipe = self._interpolated, self._recipes[0]
        positions, has = bank.choose(rows, draws)
        return Between(
            view(bank.images.batch(positions), recipe),
            view(self._images.batch(bank.partner[positions].clamp(min=0)), recipe),
            copied(bank.alpha[positions], self._device),
            copied(has.float(), self._device),
        )


def _of_bank(settings: Pretraining, key: str) -> float:
    """A key of `Retraining`, or 0 in plain pre-training."""
    return getattr(settings, key) if isinstance(settings, Retraining) else 0.0
