"""Evaluation of frozen embeddings and of banks: metrics with confidence intervals and chance levels."""
