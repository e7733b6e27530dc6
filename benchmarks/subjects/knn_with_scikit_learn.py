"""scikit-learn's brute-force search with the cosine distance."""

import numpy as np
from serving import serve_search
from sklearn.neighbors import NearestNeighbors


def find(train: np.ndarray, test: np.ndarray, k: int, threads: int) -> np.ndarray:
    """Indices of the neighbours: int64 (M, k), nearest first."""
    search = NearestNeighbors(n_neighbors=k, algorithm="brute", metric="cosine", n_jobs=threads).fit(train)
    return search.kneighbors(test, return_distance=False)


serve_search(find)
