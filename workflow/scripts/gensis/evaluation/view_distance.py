"""View distance: how far the views that a bank gives lie from views of their source, and whether they keep its class.

A generated view can teach an encoder only what ordinary views do not: it must lie farther from its source than they do,
and still show the same class. Both are measured on views, as a student sees them, in the embedding of a judge.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gensis.evaluation.bank_metrics import FEWEST
from gensis.evaluation.bank_quality import Quality, Subject
from gensis.evaluation.bootstrap import resampled
from gensis.evaluation.class_consistency import NEIGHBOURS, TEMPERATURE
from gensis.evaluation.fidelity import cosines
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.judged_views import Judge, Shown, show
from gensis.evaluation.knn import knn_probabilities
from gensis.evaluation.reference_images import NO_IMAGE

MEASURES = ("relative_distance", "class_consistency")

Measure = Callable[[np.ndarray], np.ndarray]
"""Function of float64 (n, B) weights of the sources: (B,) values."""

log = logging.getLogger(__name__)


def add_view_distance(quality: Quality, subject: Subject, judge: Judge) -> None:
    """Measure the view distance of a bank and log it; where that is impossible, say why."""
    if len(subject.sample.sources) < FEWEST:
        return
    try:
        found = quality.others["view_distance"] = view_distance(subject, judge)
    except Unmeasurable as reason:
        quality.skipped["view distance"] = str(reason)
        return
    for point in found["points"]:
        measured = [f"{name} {point[name]:.3f}" for name in MEASURES if point[name] is not None]
        log.info("%s: %s", point["kind"], ", ".join(measured))


def view_distance(subject: Subject, judge: Judge) -> dict[str, Any]:
    """Relative distance and class consistency of a bank's images, and of real images for comparison.

    The relative distance is (d - d_view) / (d_other - d_view). Here d is the mean of 1 - cosine between a view of a
    source and a view of its image, d_view that between two views of the source, d_other that between a view of the
    source and a view of any other image. Class consistency is the share of these views whose 20 nearest real images
    vote for the class of the source; the groups of the source and of the image itself do not vote.

    Returns:
        `view` and `other`: the distances d_view and d_other. `chance`: the share of the most common class, None where
        class consistency is not measured. `points`: for each kind of `judged_views.show` that exists: `kind`,
        `relative_distance`, `class_consistency` (or None), their standard errors (`_error`) by bootstrap of the groups
        (or None), and `n`, the number of sources.

    Raises:
        Unmeasurable: the judge does not tell views of different images apart.
    """
    labels, groups = subject.classes()
    sources = subject.sample.places(subject.sample.sources)
    first, shown = show(subject, judge, labels)
    apart = {kind: 1 - cosines(first, each.views) for kind, each in shown.items()}
    view, other = (float(apart[kind].mean()) for kind in ("views", "others"))
    if other <= view:
        raise Unmeasurable("views of different images are as near to each other as views of one image")
    vote = _vote(subject, judge, labels, groups)
    points = []
    for kind, each in shown.items():
        if each.present.any():
            measures = {"relative_distance": _relative(apart, kind, each.present)}
            if vote and (labelled := each.present & (labels[sources] >= 0)).any():
                measures["class_consistency"] = _share(vote(each), labelled)
            values = _with_errors(measures, groups[sources], subject.resamples)
            points.append({"kind": kind} | values | {"n": int(each.present.sum())})
    known = labels[sources][labels[sources] >= 0]
    chance = float(np.bincount(known).max() / len(known)) if vote and len(known) else None
    return {"view": view, "other": other, "chance": chance, "points": points}


def _vote(
    subject: Subject, judge: Judge, labels: np.ndarray, groups: np.ndarray
) -> Callable[[Shown], np.ndarray] | None:
    """Whether real images assign each view to the class of its source, bool (n,); None if there are too few."""
    sources, labelled = subject.sample.places(subject.sample.sources), labels >= 0
    if len(np.unique(labels[labelled])) < 2:
        return None
    if labelled.sum() - 2 * np.bincount(groups[labelled]).max() < NEIGHBOURS:
        return None

    def hits(shown: Shown) -> np.ndarray:
        of_image = np.where(shown.places == NO_IMAGE, groups[sources], groups[shown.places])
        votes = knn_probabilities(
            judge.features[labelled],
            labels[labelled],
            shown.views,
            ks=(NEIGHBOURS,),
            classes=int(labels.max()) + 1,
            temperature=TEMPERATURE,
            device=subject.device,
            groups=(groups[labelled], np.stack([groups[sources], of_image], axis=1)),
        )
        return votes[NEIGHBOURS].argmax(1) == labels[sources]

    return hits


def _relative(apart: Mapping[str, np.ndarray], kind: str, present: np.ndarray) -> Measure:
    """Relative distance of a kind; all three distances are means over the sources that have such an image."""

    def measure(weights: np.ndarray) -> np.ndarray:
        own, view, other = (weights[present].T @ apart[each][present] for each in (kind, "views", "others"))
        with np.errstate(divide="ignore", invalid="ignore"):
            return (own - view) / (other - view)

    return measure


def _share(hits: np.ndarray, among: np.ndarray) -> Measure:
    """Share of hits among some of the sources."""

    def measure(weights: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return weights[among & hits].sum(0) / weights[among].sum(0)

    return measure


def _with_errors(measures: Mapping[str, Measure], groups: np.ndarray, resamples: int) -> dict[str, float | None]:
    """Value and standard error of each measure; None for what was not measured."""

    def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {name: each(weights) for name, each in measures.items()}

    values, drawn = measure(np.ones((len(groups), 1))), resampled(measure, groups, resamples)
    count = len(np.unique(groups))
    found: dict[str, float | None] = dict.fromkeys(f"{name}{end}" for name in MEASURES for end in ("", "_error"))
    for name, value in values.items():
        found[name] = float(value[0])
        if name in drawn:  # resamples of G groups vary too little by this factor, see `bootstrap.intervals`
            found[f"{name}_error"] = float(np.nanstd(drawn[name])) * (count / (count - 1)) ** 0.5
    return found
