"""scikit-learn's own choice of C on a fifth of train, by log loss, among the same six; refitted on all of it."""

import numpy as np
from found import told_by
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


def tell(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """int64 (M,)."""
    split = StratifiedShuffleSplit(1, test_size=0.2, random_state=0)
    probe = LogisticRegressionCV(Cs=STRENGTHS, cv=split, scoring="neg_log_loss", max_iter=1000)
    return make_pipeline(StandardScaler(), probe).fit(train, labels).predict(test)


told_by(tell)
