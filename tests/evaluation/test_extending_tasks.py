"""A task is added with one file and one line of the registry."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.extended import extended, run

from gensis.artifacts.tables import write_table
from gensis.images.embeddings import write_embeddings

TOY = Path(__file__).with_name("toy_task.py").read_text()
LINE = (
    '"nearest-mean": Task("image", "gensis.evaluation.tasks.nearest_mean", ("accuracy", "balanced_accuracy"),'
    ' {"accuracy": "nearest class mean, accuracy"}, switch="Also classify images by the nearest class mean."),'
)


@pytest.fixture
def scripts(tmp_path):
    """A copy of the scripts and the library, with the new file and line."""
    return extended(tmp_path, "TASKS", LINE, "gensis/evaluation/tasks/nearest_mean.py", TOY)


def test_a_study_runs_a_new_task_if_its_key_is_true_and_the_report_has_its_column(scripts):
    planning = """
import json, sys
from gensis.figures.scores import Score, Scores
from gensis.settings.evaluation import Evaluation
from gensis.settings.schema import schema

switched_on = Evaluation(nearest_mean=True)
score = Score(
    encoder="dino", dataset="d", seed=0, task="nearest-mean", metric="accuracy", value=1, low=1, high=1, n=9
)
columns = Scores([score], "dino", []).columns("d")
about = schema()["$defs"]["Evaluation"]["properties"]["nearest_mean"]["description"]
assert "torch" not in sys.modules
found = [Evaluation().image_tasks, switched_on.image_tasks, list(switched_on.of_task("nearest-mean"))]
print(json.dumps([*found, about, [column.label for column in columns]]))
"""
    off, on, read, about, columns = json.loads(run(scripts, "-c", planning))
    assert on == ["nearest-mean", *off]
    assert set(read) == {"folds", "bootstrap"}  # ordered_classes is left out, since it is neutral
    assert about == "Also classify images by the nearest class mean."
    assert columns == ["nearest class mean, accuracy"]


def test_a_new_task_is_measured(scripts, tmp_path):
    """Two classes lie far apart, but every third image of B looks like an A: 50 of 60 images can be told."""
    label = np.arange(60) % 2
    looks = np.where(np.arange(60) % 6 == 1, 0, label)
    features = np.random.default_rng(0).normal(size=(60, 4)) + 20 * np.eye(2, 4)[looks]
    keys = np.array([f"{i}.png" for i in range(60)])
    unit = np.zeros(60, np.int32)
    write_embeddings(tmp_path / "part-0000.h5", [features], unit=unit, units=("all",), keys=keys)
    columns = ("unit", "group", "split", "outcome", "images", "content")
    write_table(tmp_path / "units.tsv", columns, [("all", "", "", "ok", 60, "of-all")])
    labels = [("all", i, "AB"[label[i]], "") for i in range(60)]
    write_table(tmp_path / "labels.tsv", ("unit", "row", "label", "group"), labels)
    run(
        scripts, "evaluate_encoder.py", "--config", json.dumps({"nearest_mean": True, "bootstrap": 20}),
        "--tasks", "nearest-mean", "--embeddings", tmp_path / "part-0000.h5",
        "--units", tmp_path / "units.tsv", "--labels", tmp_path / "labels.tsv", "--encoder", "dino", "--dataset", "d",
        "--seed", 0, "--threads", 1, "--output", tmp_path / "results",
    )  # fmt: skip
    result = json.loads((tmp_path / "results/nearest-mean.json").read_text())
    accuracy, balanced = result["metrics"]
    assert (accuracy["metric"], balanced["metric"]) == ("accuracy", "balanced_accuracy")
    assert [accuracy["value"], balanced["value"]] == pytest.approx([50 / 60] * 2)
    assert 0.5 < accuracy["low"] < 50 / 60 < accuracy["high"] < 1
    assert (result["n"], accuracy["chance"]) == (60, 0.5)
