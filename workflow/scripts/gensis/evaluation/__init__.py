"""Evaluation of frozen embeddings and of banks: metrics with confidence intervals and chance levels."""

from gensis.pipeline_packages import require

require("h5py", "scipy", "sklearn")
