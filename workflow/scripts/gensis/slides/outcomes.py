"""What can become of a slide. One bad slide never stops the others: it gets an outcome and a reason."""

FORMAT = "gensis-outcome/1"
# `low_quality` is given when images are indexed: there are tiles, and none passes the thresholds.
OUTCOMES = (
    "ok",
    "partial",
    "no_tissue",
    "unreadable",
    "unsupported",
    "too_small",
    "missing_mpp",
    "wrong_mpp",
    "wrong_mask",
    "too_coarse",
    "low_quality",
)
BRIGHTFIELD_ONLY = "only brightfield in red, green and blue of 8 bits each is read: leave it out, or export it as such"
COPY_AGAIN = "copy the slide from its source again, or export it again"


class Unusable(Exception):
    """A slide that gives no images."""

    def __init__(self, outcome: str, reason: str):
        """Take one of `OUTCOMES`, and a line that says what was found and how to repair it."""
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason
