"""Calibration: whether predictions of a probability are right that often."""

from dataclasses import dataclass

import numpy as np

from gensis.figures.chart import Line, line_chart
from gensis.figures.markup import figure, text
from gensis.figures.predicted import Predicted

BINS = 10


@dataclass(frozen=True)
class Reliability:
    """Predictions by confidence, in bins of equal width; bins without predictions are left out."""

    confidence: np.ndarray
    """float64 (b,): mean probability of the predicted class."""
    accuracy: np.ndarray
    """float64 (b,): share of correct predictions."""
    count: np.ndarray
    """int64 (b,): number of predictions."""

    @classmethod
    def of(cls, correct: np.ndarray, confidence: np.ndarray) -> "Reliability":
        """Of bool (n,) predictions, and float (n,) probabilities of the predicted classes."""
        edges = np.linspace(0, 1, BINS + 1)[1:-1]
        bins = np.searchsorted(edges, confidence)
        count = np.bincount(bins, minlength=BINS)
        means = (np.bincount(bins, each, BINS)[count > 0] / count[count > 0] for each in (confidence, correct))
        return cls(*means, count[count > 0])

    @property
    def expected_error(self) -> float:
        """Expected calibration error (Guo et al. 2017, arXiv 1706.04599): mean |accuracy - confidence| over items."""
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.count))


def calibration(name: str, found: Predicted) -> str:
    """The reliability curve of a classifier; empty where no probabilities are stored."""
    if found.confidence is None:
        return ""
    curve = Reliability.of(found.label == found.predicted, found.confidence)
    lines = [
        Line("perfect calibration", (0, 1), (0, 1), colour=0, dashed=True),
        Line("measured", curve.confidence.tolist(), curve.accuracy.tolist(), colour=1),
    ]
    caption = (
        f"<b>{text(name)}: reliability.</b> Share of correct predictions among those of about the same probability of "
        f"the predicted class, in {BINS} bins of equal width. Below the dashed line, the classifier is too sure. "
        f"Expected calibration error: {curve.expected_error:.3f}, from {curve.count.sum():,} items; with few items it "
        "is above 0 by chance."
    )
    return figure(line_chart(lines, "probability of the predicted class", "share correct"), caption)
