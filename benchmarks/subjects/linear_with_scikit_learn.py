"""scikit-learn's linear probe: C chosen among the same six values by log loss on a fifth of train; refitted on all."""

import numpy as np
from serving import serve_classifier
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


def predict(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Predicted labels: int64 (M,)."""
    split = StratifiedShuffleSplit(1, test_size=0.2, random_state=0)
    probe = LogisticRegressionCV(Cs=STRENGTHS, cv=split, scoring="neg_log_loss", max_iter=1000)
    return make_pipeline(StandardScaler(), probe).fit(train, labels).predict(test)


serve_classifier(predict)
