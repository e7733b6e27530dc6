"""The batch of a step: views of real images and, with a bank, of synthetic images (arXiv 2412.01672)."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch

from gensis.augment.views import ViewRecipe, view
from gensis.settings.pretraining import Pretraining
from gensis.ssl.bank_views import BatchViews, paired_views, real_views, with_added_views
from gensis.ssl.batch_plan import Chooser, Interpolations, Pairs
from gensis.training.device import copied

_INTERPOLATED_ON_CPU = 4  # images at once that fit into a CPU's cache: eight times as fast as a whole batch
_INTERPOLATED_ON_GPU = 128  # few launches, and less than 0.3 GB at 224 px


@dataclass(frozen=True, kw_only=True)
class InterpolatedViews:
    """Views of images interpolated between a source, which is an image of the batch, and its partner."""

    views: torch.Tensor
    """float32 (B, 3, S, S)."""
    partners: torch.Tensor
    """float32 (T, B, 3, S, S): views of the partners, one for each of T targets, which are averaged."""
    source_slots: torch.Tensor
    """int64 (T, B): which global view of the source belongs to each target."""
    alpha: torch.Tensor
    """float32 (B,): weight of the source."""
    counts: torch.Tensor
    """float32 (B,): weight in the loss: 1, or 0 if the source has no interpolated image."""
    rows: torch.Tensor
    """int64 (2, B): rows of the sources and of the partners in the train split."""

    def part(self, rows: slice) -> "InterpolatedViews":
        """The views of some images."""
        return InterpolatedViews(
            views=self.views[rows],
            partners=self.partners[:, rows],
            source_slots=self.source_slots[:, rows],
            alpha=self.alpha[rows],
            counts=self.counts[rows],
            rows=self.rows[:, rows],
        )


@dataclass(frozen=True)
class Batch:
    """Normalised views of B images."""

    views: BatchViews
    interpolated: InterpolatedViews | None = None

    def __len__(self) -> int:
        return len(self.views.real_slot)

    def split(self, count: int) -> list["Batch"]:
        """The batch in ``count`` parts of nearly equal size; fewer if it has fewer images."""
        bounds = [len(self) * number // count for number in range(count + 1)]
        return [self._part(slice(*pair)) for pair in pairwise(bounds) if pair[0] < pair[1]]

    def _part(self, rows: slice) -> "Batch":
        of_all = self.views
        added = None if of_all.added_views is None else of_all.added_views[rows]
        views = BatchViews(of_all.global_views[:, rows], of_all.local_views[:, rows], of_all.real_slot[rows], added)
        return Batch(views, self.interpolated and self.interpolated.part(rows))


class Batches:
    """Reads the chosen images, draws views with torch's global generators, and normalises them."""

    def __init__(
        self,
        settings: Pretraining,
        recipes: tuple[ViewRecipe, ViewRecipe, ViewRecipe],
        *,
        chooser: Chooser,
        device: torch.device,
        normalise: Callable[[torch.Tensor], torch.Tensor],
    ):
        """Make batches of what ``chooser`` chooses.

        ``normalise`` normalises views (..., 3, S, S) with the encoder's mean and standard deviation, in place.
        """
        self._settings, self._recipes, self._chooser, self._device = settings, recipes, chooser, device
        self._normalise = normalise

    def prefetch(self, rows: torch.Tensor, step: int) -> None:
        """Start to read the images that `draw` will need."""
        for pick in self._chooser.choose(rows, step).picks():
            pick.images.prefetch(pick.rows)

    def draw(self, rows: torch.Tensor, step: int = 0) -> Batch:
        """The batch of int64 (B,) rows on the CPU at step number ``step``."""
        choice = self._chooser.choose(rows, step)
        images = choice.pairs.image.read()
        views = self._views(images, choice.pairs)
        interpolated = self._interpolated(images, views, choice.interpolations) if choice.interpolations else None
        for made in (
            views.global_views,
            views.local_views,
            *([] if views.added_views is None else [views.added_views]),
            *([interpolated.views, interpolated.partners] if interpolated else []),
        ):
            self._normalise(made)
        return Batch(views, interpolated)

    def _views(self, images: torch.Tensor, pairs: Pairs) -> BatchViews:
        views = self._settings.views
        if pairs.synthetic is None:
            return real_views(images, self._recipes, views.local_crops)
        synthetic, has = pairs.synthetic.read(), copied(pairs.has, self._device)
        given = {"has_synthetic": has, "recipes": self._recipes, "local_crops": views.local_crops}
        if self._settings.adds_views:
            return with_added_views(images, synthetic, **given)
        slot, fraction = copied(pairs.slot, self._device), self._settings.generative_local_fraction
        return paired_views(images, synthetic, slot=slot, local_fraction=fraction, **given)

    def _interpolated(
        self, images: torch.Tensor, views: BatchViews, interpolations: Interpolations
    ) -> InterpolatedViews:
        partners = [pick.read() for pick in interpolations.partners]
        alpha = copied(interpolations.alpha, self._device)
        interpolated = (
            interpolations.generated.read()
            if interpolations.generated
            else interpolate_pixels(images, partners[0], alpha)
        )
        recipe = self._recipes[0]
        return InterpolatedViews(
            views=view(interpolated, recipe),
            partners=torch.stack([view(partner, recipe) for partner in partners]),
            source_slots=torch.stack(
                [1 - views.real_slot if synthetic else views.real_slot for synthetic in interpolations.of_synthetic]
            ),
            alpha=alpha,
            counts=copied(interpolations.counts.float(), self._device),
            rows=copied(interpolations.rows, self._device),
        )


def interpolate_pixels(sources: torch.Tensor, partners: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """alpha x source + (1 - alpha) x partner, uint8 (B, 3, H, W) like both, for alpha (B,)."""
    mixed = torch.empty_like(sources)
    at_once = _INTERPOLATED_ON_CPU if sources.device.type == "cpu" else _INTERPOLATED_ON_GPU
    parts = (tensor.split(at_once) for tensor in (mixed, sources, partners, alpha.view(-1, 1, 1, 1)))
    for out, source, partner, weight in zip(*parts):
        out.copy_(torch.lerp(partner.float(), source.float(), weight).round_())
    return mixed
