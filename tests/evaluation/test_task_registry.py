"""Entries of the registry agree with the tasks, and settings with the entries."""

import re

import pytest
from tests.evaluation.test_tasks import CPU, EVERYTHING, SETTINGS, slides

from gensis.errors import UserError
from gensis.evaluation.measure import measure
from gensis.settings.evaluation import Evaluation
from gensis.settings.tasks import TASKS, find_task, with_attention


@pytest.mark.parametrize("task", [*EVERYTHING.image_tasks, *EVERYTHING.slide_tasks])
def test_a_task_has_the_metrics_and_inputs_of_its_registry_entry(task):
    data = slides(30, split=False, slides=12)
    given = {"corrupted": lambda name, rows: data.features[rows], "last_blocks": lambda rows: (data.features,) * 2}
    entry = find_task(task)
    inputs = {name: given[name] for name in entry.inputs}
    measured = measure(task, data, EVERYTHING, seed=0, device=CPU, **inputs)
    found = [metric["metric"] for metric in measured.result["metrics"]]
    assert [name for name in entry.metrics if any(metric.startswith(name) for metric in found)] == [*entry.metrics]
    assert all(metric.startswith(entry.metrics) for metric in found)
    assert bool(measured.attention) is entry.has_attention


@pytest.mark.parametrize("name", TASKS)
def test_a_registry_entry_is_switched_on_in_one_way_and_shows_its_own_metrics(name):
    entry = TASKS[name]
    assert bool(entry.switch) is not bool(entry.when)
    assert all(metric.startswith(entry.metrics) for metric in entry.columns)
    assert set(entry.reads) <= Evaluation.model_fields.keys()


@pytest.mark.parametrize("name", ["knnn", "slides-", "linear-sdg", "slides-knn", ""])
def test_an_unknown_task_is_refused_with_the_known_ones(name):
    known = "knn, linear, linear-sgd, linear-*pct, retrieval, corruptions, slides-mean, slides-abmil, slides-dsmil"
    with pytest.raises(UserError, match=re.escape(f"no evaluation task '{name}': choose from {known}")):
        measure(name, slides(30, split=True), SETTINGS, seed=0, device=CPU)


def test_a_low_label_task_without_its_fraction_in_the_settings_is_refused():
    with pytest.raises(UserError, match=r"task 'linear-3pct': evaluation\.low_label has no such fraction"):
        measure("linear-3pct", slides(30, split=True), SETTINGS, seed=0, device=CPU)


def test_tasks_that_run_and_their_inputs_follow_from_the_settings():
    assert Evaluation().image_tasks == ("knn", "linear")
    assert Evaluation().slide_tasks == ("slides-mean", "slides-abmil")
    assert Evaluation().further_inputs == set()
    assert EVERYTHING.further_inputs == {"corrupted", "last_blocks"}
    assert with_attention(("linear", "slides-mean", "slides-abmil", "survival-abmil-os")) == {
        "slides-abmil",
        "survival-abmil-os",
    }
    listed = Evaluation(low_label=(0.1, 0.01), linear_sgd=True, slides=("dsmil",), retrieval=True)
    assert listed.image_tasks == ("knn", "linear", "linear-sgd", "linear-10pct", "linear-1pct", "retrieval")
    assert listed.slide_tasks == ("slides-dsmil", "slides-retrieval")
    inputs = dict.fromkeys(("embeddings", "corrupted", "last_blocks"))
    assert list(listed.inputs_of_task("linear-sgd", inputs)) == ["embeddings", "last_blocks"]
    assert list(listed.inputs_of_task("linear", inputs)) == ["embeddings"]
