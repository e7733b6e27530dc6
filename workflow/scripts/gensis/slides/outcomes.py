"""Outcomes of slides. A slide that cannot be tiled gets an outcome and a reason, and never stops the others."""

FORMAT = "gensis-outcome/1"
# `low_quality` is set when images are indexed: there are tiles, but none passes the thresholds.
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
    "no_level",
    "low_quality",
)
BRIGHTFIELD_ONLY = "only 8-bit RGB brightfield is supported: leave the slide out, or export it as 8-bit RGB"
COPY_AGAIN = "copy the slide from its source again, or export it again"


class Unusable(Exception):
    """A slide that gives no images."""

    def __init__(self, outcome: str, reason: str):
        """Take one of `OUTCOMES`, and one line with the reason and the remedy."""
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason
