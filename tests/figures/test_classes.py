"""Recall, confusion matrix and calibration from stored predictions."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from torchmetrics.functional.classification import multiclass_calibration_error

from gensis.evaluation.predictions import Predictions, write_predictions
from gensis.figures.calibration import BINS, Reliability
from gensis.figures.classes import classes
from gensis.figures.confusion import MOST_CLASSES, confusion
from gensis.figures.predicted import Predicted
from gensis.figures.run import Run


def predictions(shares: np.ndarray, label: np.ndarray, **changes: object) -> Predictions:
    number = np.arange(len(label))
    known = {"classes": ("benign", "<cancer>"), "item": number, "group": number, "fold": 0 * number, "label": label}
    return Predictions(**known | {"probabilities": {"": shares}, "names": tuple(map(str, number))} | changes)


def test_reliability_and_its_error_are_those_of_scikit_learn_and_torchmetrics():
    shares = np.random.default_rng(0).dirichlet(np.ones(3), 200).astype(np.float32)
    label = np.where(np.arange(200) % 2, shares.argmax(1), np.random.default_rng(1).integers(0, 3, 200))
    correct, confidence = shares.argmax(1) == label, shares.max(1)
    found = Reliability.of(correct, confidence)
    accuracy, mean_confidence = calibration_curve(correct, confidence, n_bins=BINS)
    np.testing.assert_allclose(found.accuracy, accuracy)
    np.testing.assert_allclose(found.confidence, mean_confidence, rtol=1e-6)
    given = torch.from_numpy(shares), torch.from_numpy(label)
    expected = multiclass_calibration_error(*given, num_classes=3, n_bins=BINS, norm="l1")
    assert found.expected_error == pytest.approx(expected.item(), abs=1e-6)


def test_a_row_has_recall_and_numbers_of_items_by_predicted_class():
    found = Predicted(("a", "b", "c"), np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), None)
    html = confusion("d", found)
    assert '<th scope="row">a</th><td>0.667<small>2 of 3</small></td><td>2</td><td>1</td><td>0</td>' in html
    assert '<th scope="row">b</th><td>1.000<small>1 of 1</small></td><td>0</td><td>1</td><td>0</td>' in html
    assert '<th scope="row">c</th><td>&ndash;</td>' in html
    many = np.arange(MOST_CLASSES + 1)
    assert "as 0" not in confusion("d", Predicted(tuple(map(str, many)), many, many, None))


def test_the_page_shows_the_main_classifiers_and_one_of_each_target(results: Path):
    folder = results / "tiny"
    lines = (folder / "summary.csv").read_text()
    of_targets = [("slides-mean-grade", "balanced_accuracy"), ("slides-abmil-grade", "balanced_accuracy")]
    of_targets.append(("survival-mean-os", "concordance"))
    lines += "".join(f"gen-dino,tissue,0,{task},{metric},0.7,0.6,0.8,4,4\n" for task, metric in of_targets)
    (folder / "summary.csv").write_text(lines)
    shares = np.array([[0.95, 0.05], [0.15, 0.85], [0.65, 0.35], [0.75, 0.25]])
    slides = predictions(shares, np.array([0, 1, 1, 0]))
    images = predictions(shares, np.array([0, 1, 1, 0]), probabilities={"_k5": shares}, names=None)
    numbers = predictions(shares, np.arange(4), classes=(), probabilities={}, scores={"risk": np.arange(4.0)})
    tasks = {"slides-abmil": slides, "slides-mean-grade": slides, "slides-abmil-grade": slides}
    tasks |= {"knn": images, "survival-mean-os": numbers}
    write_predictions(folder / "evaluation/gen-dino/tissue/seed0/predictions.h5", tasks, {})
    html = classes(Run(folder, results / "images"))
    named = ("tissue, ABMIL on slides", "tissue, k-NN, k = 5", "tissue, grade: ABMIL on slides")
    assert [html.count(f"<b>{name}: recall</b>") for name in named] == [1, 1, 1]
    assert html.count("<b>") == 3 + 2  # images have no probabilities, and so no reliability
    assert "as &lt;cancer&gt;" in html
    # Confidences 0.95, 0.85, 0.75 are right and 0.65 is wrong: (0.05 + 0.15 + 0.25 + 0.65) / 4.
    assert "Expected calibration error: 0.275, from 4 items" in html


def test_a_run_without_predictions_has_no_section(run: Run):
    assert classes(run) == ""
