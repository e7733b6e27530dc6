"""What can become of a slide. One bad slide never stops the others: it gets an outcome and a reason."""

FORMAT = "gensis-outcome/1"
# `low_quality` is given when images are indexed: there are tiles, and none passes the thresholds.
OUTCOMES = ("ok", "partial", "no_tissue", "unreadable", "missing_mpp", "wrong_mpp", "too_coarse", "low_quality")
COPY_AGAIN = "copy the slide from its source again, or export it again"


class Unusable(Exception):
    """A slide that gives no images."""

    def __init__(self, outcome: str, reason: str):
        """Take one of `OUTCOMES`, and a line that says what was found and how to repair it."""
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason
