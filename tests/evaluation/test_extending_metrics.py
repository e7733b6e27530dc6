"""A metric is a function and a line of `METRICS`."""

import shutil

from tests.extended import SCRIPTS, run

FUNCTION = '''def among_two(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of the items whose true class is one of the two most probable."""
    hits = (probabilities.argsort(1)[:, -2:] == labels[:, None]).any(1)
    return weights[hits].sum(0) / weights.sum(0)


'''
LINE = '    "among_two": Metric(among_two, of_majority(among_two)),\n'
START = "METRICS: dict[str, Metric] = {\n"
USE = """
import json, numpy as np
from gensis.evaluation.predictions import Predictions
from gensis.evaluation.scoring import classification_metrics

rows, labels = np.arange(4), np.array([0, 1, 2, 2])
probabilities = np.array([[0.6, 0.3, 0.1], [0.4, 0.5, 0.1], [0.5, 0.1, 0.4], [0.5, 0.4, 0.1]])
found = Predictions(("a", "b", "c"), rows, rows, rows, labels, {"": probabilities})
print(json.dumps(classification_metrics(["among_two"], found, 2, 20)))
"""


def test_a_metric_takes_a_function_and_one_line(tmp_path):
    scripts = shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    path = scripts / "gensis/evaluation/metrics.py"
    before, after = path.read_text().split(START)
    path.write_text(before + FUNCTION + START + LINE + after)
    printed = run(scripts, "-c", USE)
    assert '"metric": "among_two", "value": 0.75' in printed
    assert '"chance": 0.75' in printed  # always predicting the last class; of the others, equal, the second is first
