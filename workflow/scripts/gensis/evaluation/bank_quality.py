"""Quality of a bank: all metrics of its generative and interpolated images, measured on a sample."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from gensis.augment.resample import resize
from gensis.augment.views import ViewRecipe, view
from gensis.evaluation import bank_metrics as metrics
from gensis.evaluation.bank_features import FeatureSpaces, ImageFeatures
from gensis.evaluation.bank_sample import Bank, Sample, shuffled
from gensis.evaluation.class_consistency import RealImages, class_consistency
from gensis.evaluation.copying import Reference
from gensis.evaluation.folds import Unmeasurable
from gensis.images.reading import Images
from gensis.ranges import from_unit, to_bytes

CONDITIONS = 64  # conditions that two images each are generated from, to measure diversity
MOST_HELD_OUT = 256
BLUR = 4  # images are blurred by downsizing by this factor and enlarging
NONE = "the bank has none"
NOT_GENERATED = "the bank has real images, so that nothing can be generated from conditions"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A bank, its real images, and the models that it is measured with."""

    banks: Mapping[str, Bank | None]
    """`generative` and `interpolated` images. Kinds that the bank lacks are None or missing."""
    sample: Sample
    images: Images
    """Of the train split."""
    held_out: Images | None
    """Of the test split."""
    features: np.ndarray
    """float32 (K, D): embeddings of the images `sample.known`."""
    spaces: FeatureSpaces
    reference: Reference
    recipe: ViewRecipe
    """Of ordinary views, which floors and ceilings are measured on."""
    generate: Callable[[np.ndarray, int], Iterator[torch.Tensor]] | None
    """The diffusion model: batches of uint8 (n, 3, H, W), a number of images for each of float32 (n, D) conditions.
    None if the bank has real images."""
    interpolate: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
    """Condition between two unit vectors (n, D), with the weights (n,) of the first."""
    classes: Callable[[], tuple[np.ndarray, np.ndarray]]
    """Labels, -1 where there is none, and groups, int64 (K,) each, of the images `sample.known`."""
    seed: int
    resamples: int
    """Of the bootstrap; 0 for no intervals."""
    device: torch.device

    def conditions(self) -> np.ndarray:
        """float32 (n, D): embeddings of the sources."""
        return self.features[self.sample.places(self.sample.sources)]

    def of_train(
        self, name: str, rows: np.ndarray, change: Callable[[torch.Tensor], torch.Tensor] | None = None
    ) -> ImageFeatures:
        """Features of images of the train split."""
        return self.spaces.of_rows(name, self.images, rows, change)

    def copies(self) -> np.ndarray | None:
        """Rows in `sample.known` of the images that the drawn generative images copy; None if they are generated."""
        copied, drawn = self.banks["generative"].copied, self.sample.drawn["generative"]
        return self.sample.places(copied[drawn].numpy()) if len(copied) else None

    def of_bank(self, kind: str) -> ImageFeatures | None:
        """Features of the drawn images of a kind; None if there are none."""
        bank = self.banks.get(kind)
        return bank and self.spaces.of_rows(f"{kind} images", bank.images, self.sample.drawn[kind])

    def generated(self, name: str, conditions: np.ndarray, variants: int) -> ImageFeatures:
        """Features of images that are generated now."""
        return self.spaces.of_batches(name, self.generate(conditions, variants), len(conditions) * variants)

    def view(self, images: torch.Tensor) -> torch.Tensor:
        """An ordinary view (augmented crop) of each image."""
        return to_bytes(from_unit(view(images, self.recipe)))


@dataclass
class Quality:
    """What was measured."""

    figures: metrics.Figures = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """What could not be measured -> the reason."""
    others: dict[str, Any] = field(default_factory=dict)
    """`along_alpha`, `class_consistency` and `view_distance`, where measured."""

    def as_json(self) -> dict[str, Any]:
        """All values for a JSON file."""
        return {"figures": self.figures, "skipped": self.skipped, **self.others}


def bank_quality(subject: Subject) -> Quality:
    """Measure everything that can be measured, and log it."""
    quality, sources = Quality(), len(subject.sample.sources)
    if sources < metrics.FEWEST:
        quality.skipped["all figures"] = f"{sources} sources are fewer than {metrics.FEWEST}"
    else:
        _measure(subject, quality)
    for figure in quality.figures:
        log.info("%s: %.4g (%.4g to %.4g)", *(figure[key] for key in ("figure", "value", "floor", "ceiling")))
    for name, reason in quality.skipped.items():
        log.info("%s: skipped: %s", name, reason)
    return quality


def _measure(subject: Subject, quality: Quality) -> None:
    torch.manual_seed(subject.seed)  # views are drawn from the global generator
    views = subject.of_train("views", subject.sample.sources, subject.view)
    generative, interpolated = map(subject.of_bank, ("generative", "interpolated"))
    if generative:
        _measure_generative(subject, quality, generative, views)
    else:
        quality.skipped["generative images"] = NONE
    if interpolated:
        _measure_interpolated(subject, quality, generated=interpolated, generative=generative, views=views)
    else:
        quality.skipped["interpolated images"] = NONE


def _measure_generative(subject: Subject, quality: Quality, generated: ImageFeatures, views: ImageFeatures) -> None:
    """Fidelity, retrieval, realism, copying, diversity and class consistency."""
    figures, sources, conditions = quality.figures, subject.sample.sources, subject.conditions()
    real = subject.of_train("other images", subject.sample.others)
    own = subject.of_train("sources", sources)
    blurred = subject.of_train("blurred sources", sources, blur)
    places = subject.sample.places(sources)
    figures += metrics.fidelity("fidelity", generated.encoder, conditions, views=views.encoder, own=conditions)
    figures += metrics.retrieval(
        generated.encoder, views.encoder, sources=places, features=subject.features, device=subject.device
    )
    figures += metrics.resemblance(real, own, generated, blurred)
    figures += metrics.detection(real, generated, subject.device)
    figures += metrics.copying(
        "near_duplicates", generated.thumbnails, own.thumbnails, rows=sources, reference=subject.reference
    )
    if subject.generate is None:
        quality.skipped |= dict.fromkeys(["held-out images", "diversity"], NOT_GENERATED)
    else:
        _measure_model(subject, quality, real, views)
    kinds = {"generated": generated, "real": own, "views": views}
    _measure_classes(subject, quality, {kind: images.encoder for kind, images in kinds.items()})


def _measure_model(subject: Subject, quality: Quality, real: ImageFeatures, views: ImageFeatures) -> None:
    """What takes further images of the diffusion model: fidelity and copying of held-out images, and diversity."""
    if subject.held_out is None:
        quality.skipped["held-out images"] = "there is no test split"
    else:
        quality.figures += _of_held_out(subject, subject.held_out, views)
    variants = subject.generated("two images per condition", subject.conditions()[:CONDITIONS], 2)
    twice = subject.sample.sources[:CONDITIONS].repeat(2)
    variant_views = subject.of_train("two views per source", twice, subject.view)
    quality.figures += metrics.diversity(variants, variant_views, real, subject.resamples)


def _of_held_out(subject: Subject, images: Images, views: ImageFeatures) -> metrics.Figures:
    """Fidelity and copying of images that are generated from held-out images, not used in training."""
    rows = shuffled(len(images), subject.seed)[:MOST_HELD_OUT]
    own = subject.spaces.of_rows("held-out images", images, rows)
    generated = subject.generated("images generated from held-out images", own.encoder, 1)
    fidelity = metrics.fidelity(
        "fidelity_held_out", generated.encoder, own.encoder, views=views.encoder, own=subject.conditions()
    )
    outside = np.full(len(rows), -1)
    return fidelity + metrics.copying(
        "near_duplicates_held_out",
        generated.thumbnails,
        own.thumbnails,
        rows=outside,
        reference=subject.reference,
    )


def _measure_classes(subject: Subject, quality: Quality, embeddings: dict[str, np.ndarray]) -> None:
    """Class consistency of generated images, sources and views. Only this metric uses labels."""
    sources = subject.sample.places(subject.sample.sources)
    try:
        known = RealImages(subject.features, *subject.classes())
        options = {"resamples": subject.resamples, "device": subject.device, "copies": subject.copies()}
        consistency = class_consistency(known, sources, embeddings, **options)
    except Unmeasurable as reason:
        quality.skipped["class consistency"] = str(reason)
        return
    quality.others["class_consistency"] = consistency
    values = (consistency[kind]["value"] for kind in embeddings)
    log.info("class consistency: %.3f; of real images %.3f, of views %.3f", *values)


def _measure_interpolated(
    subject: Subject,
    quality: Quality,
    *,
    generated: ImageFeatures,
    generative: ImageFeatures | None,
    views: ImageFeatures,
) -> None:
    """Fidelity, and similarity to source and partner along alpha."""
    bank, drawn = subject.banks["interpolated"], subject.sample.drawn["interpolated"]
    alpha = bank.alpha[drawn]
    sources, partners = map(subject.sample.places, (subject.sample.sources, bank.partner[drawn].numpy()))
    pair = (normalize(torch.from_numpy(subject.features[places])) for places in (sources, partners))
    conditions, own = subject.interpolate(*pair, alpha).numpy(), subject.conditions()
    quality.figures += metrics.fidelity(
        "fidelity_interpolated", generated.encoder, conditions, views=views.encoder, own=own
    )
    ends = generated.encoder[:0] if generative is None else generative.encoder
    figures, quality.others["along_alpha"] = metrics.interpolation(
        generated.encoder,
        ends=ends,
        alpha=alpha.numpy(),
        sources=sources,
        partners=partners,
        features=subject.features,
        device=subject.device,
    )
    quality.figures += figures


def blur(images: torch.Tensor) -> torch.Tensor:
    """Blur images by downsizing and enlarging them."""
    side_px = images.shape[2]
    return to_bytes(resize(to_bytes(resize(images, max(side_px // BLUR, 1))), side_px))
