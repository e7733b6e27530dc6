"""The examples of docs/guide-experiments.md work."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.metrics import recall_score

from gensis.evaluation import metrics
from gensis.settings import load_study

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs/guide-experiments.md").read_text()


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, flags=re.DOTALL)


@pytest.mark.parametrize("example", examples("yaml"))
def test_a_config_example_is_valid_together_with_the_demo(example: str) -> None:
    study = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    changes = yaml.safe_load(example)
    for section, values in changes.items():
        study[section] = study.get(section, {}) | values
    loaded = load_study(study)
    for section, values in changes.items():
        names = loaded.evaluation.datasets if section == "evaluation" else getattr(loaded, section)
        assert set(values.get("datasets", ()) if section == "evaluation" else values) <= set(names)


def test_the_metric_example_agrees_with_scikit_learn() -> None:
    (example,) = examples("python")
    namespace = vars(metrics).copy()
    exec(example, namespace)
    generator = np.random.default_rng(0)
    labels, shares = generator.integers(3, size=60), generator.random((60, 3))
    drawn = generator.integers(60, size=60)
    weights = np.stack([np.ones(60), np.bincount(drawn, minlength=60)], axis=1)
    expected = [
        recall_score(labels[rows], shares[rows].argmax(1), average=None).min() for rows in (np.arange(60), drawn)
    ]
    assert namespace["worst_recall"](labels, shares.argmax(1), weights) == pytest.approx(expected)
