"""This pipeline's nearest neighbours, from features to indices."""

import numpy as np
import torch
from found import found_by

from gensis.evaluation.neighbours import neighbours


def find(train: np.ndarray, test: np.ndarray, k: int, threads: int) -> np.ndarray:
    """int64 (M, k), nearest first."""
    torch.set_num_threads(threads)
    return torch.cat([index for _, index in neighbours(train, test, k, torch.device("cpu"))]).numpy()


found_by(find)
