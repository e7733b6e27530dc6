from itertools import groupby

import numpy as np
import pytest
import torch
from tests.evaluation.test_tasks import slides

from gensis.evaluation.measure import measure
from gensis.evaluation.tasks.corruptions import by_kind, by_severity
from gensis.settings.evaluation import Evaluation

CPU = torch.device("cpu")
SETTINGS = Evaluation(corruptions=("noise", "blur"), bootstrap=20)


@pytest.mark.parametrize("split", [True, False])
def test_classifiers_of_clean_images_are_tested_on_corrupted_images(split):
    """One kind of corruption changes nothing, the other removes all information on the class."""
    data = slides(30, split)
    asked = []

    def corrupted(name: str, rows: np.ndarray) -> np.ndarray:
        asked.append((name, rows))
        clean = data.features[rows]
        return clean if name.startswith("blur") else np.ones_like(clean)

    measured = measure("corruptions", data, SETTINGS, seed=0, device=CPU, corrupted=corrupted)
    found = {metric["metric"]: metric for metric in measured.result["metrics"]}
    tested = np.sort(np.concatenate([rows for name, rows in asked if name == "blur-1"]))
    assert tested.tolist() == np.sort(measured.predictions.item).tolist()
    read = [name for name, _ in groupby(name for name, _ in asked)]
    assert len(read) == len(set(read)) == 10, "each corruption is read once"
    for classifier in ("knn", "linear"):
        assert found[f"{classifier}_accuracy_blur"]["value"] == 1
        assert found[f"{classifier}_accuracy_noise"]["value"] < 0.6
        halves = (1 + found[f"{classifier}_accuracy_noise"]["value"]) / 2
        assert found[f"{classifier}_accuracy"]["value"] == pytest.approx(halves)
    assert all(metric["chance"] == pytest.approx(1 / 3, abs=0.1) for metric in found.values())
    assert measured.result["by_severity"]["linear"]["blur"] == [1] * 5


def test_severities_are_averaged_for_each_item():
    correct = {("knn", f"blur-{severity}"): np.array([True, severity < 3]) for severity in range(1, 6)}
    assert {name: score.tolist() for name, score in by_kind(correct).items()} == {
        "knn_accuracy": [1, 0.4],
        "knn_accuracy_blur": [1, 0.4],
    }
    assert by_severity(correct) == {"knn": {"blur": [1, 1, 0.5, 0.5, 0.5]}}
