"""How good frozen embeddings are: k-NN, linear probe, slide-level classification, each with its interval and chance.

Only `neighbours`, `knn`, `attention`, `mil` and `tasks` import torch.
"""
