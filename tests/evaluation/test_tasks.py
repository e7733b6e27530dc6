from dataclasses import replace

import numpy as np
import pytest
import torch

from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.labelled import Labelled
from gensis.evaluation.measure import measure
from gensis.settings.evaluation import Evaluation

SETTINGS = Evaluation(
    knn=(5, 20, 1000),
    low_label=(0.2,),
    slides=("mean", "abmil", "dsmil"),
    mil_epochs=10,
    mil_learning_rate=1e-2,
    mil_seeds=1,
    mil_batch_size=4,
    bootstrap=100,
)
TASKS = SETTINGS.image_tasks + SETTINGS.slide_tasks
CPU = torch.device("cpu")


def slides(signal: float, split: bool, slides: int = 60, tiles: int = 6) -> Labelled:
    """Slides of three classes, each with one informative feature; with a split, every third slide is tested."""
    labels = np.random.default_rng(0).permutation(np.arange(slides) % 3)
    slide = np.repeat(np.arange(slides), tiles)
    noise = np.random.default_rng(1).normal(size=(len(slide), 8))
    splits = np.where(np.arange(slides) % 3 == 0, "test", "train") if split else np.full(slides, "")
    return Labelled(
        features=(noise + signal * np.eye(3, 8)[labels][slide]).astype(np.float32),
        item=np.arange(len(slide)),
        labels=labels[slide],
        groups=slide,
        splits=splits[slide],
        unit=slide.astype(np.int32),
        classes=("x", "y", "z"),
        units=tuple(f"slide{i}" for i in range(slides)),
        grouped=np.zeros(len(slide), bool),
        has_test=split,
    )


def metrics(task: str, data: Labelled, settings: Evaluation = SETTINGS) -> dict[str, dict]:
    result = measure(task, data, settings, seed=0, device=CPU).result
    return {metric["metric"]: metric for metric in result["metrics"]}


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("task", TASKS)
def test_an_informative_feature_gives_one_and_noise_gives_chance(task, split):
    for metric in metrics(task, slides(30, split)).values():
        assert (metric["value"], metric["low"], metric["high"]) == (1, 1, 1)
    for name, metric in metrics(task, slides(0, split)).items():
        if "accuracy" in name:
            # Four standard errors of the 20 or 60 slides.
            errors = 4 * (metric["chance"] * (1 - metric["chance"]) / (20 if split else 60)) ** 0.5
            assert metric["value"] == pytest.approx(metric["chance"], abs=errors)


class Noted(Evaluation):
    """Settings that record which keys are read."""

    def __getattribute__(self, name: str) -> object:
        if name in Evaluation.model_fields:
            READ.add(name)
        return super().__getattribute__(name)


READ: set[str] = set()
SWITCHED_ON = {"retrieval": True, "corruptions": ("blur",), "linear_sgd": True, "low_label": (), "bootstrap": 2}
# None at the value at which it would be left out.
EVERYTHING = Noted(**SETTINGS.model_dump() | SWITCHED_ON | {"ordered_classes": ("z", "y", "x"), "bags": "group"})


@pytest.mark.parametrize("task", [*EVERYTHING.image_tasks, *EVERYTHING.slide_tasks])
def test_a_task_reads_only_settings_that_its_result_records(task):
    data = slides(30, split=False, slides=12)
    known = data.features, data.features
    READ.clear()
    measure(
        task,
        data,
        EVERYTHING,
        seed=0,
        device=CPU,
        corrupted=lambda name, rows: data.features[rows],
        last_blocks=lambda rows: known,
    )
    read = READ - {"low_label"}  # a task's part of the labels is in its name
    assert read == EVERYTHING.of_task(task).keys()


def test_metrics_have_the_documented_names_and_number_of_items():
    found = metrics("knn", slides(1, split=True))
    assert list(found) == ["accuracy_k5", "balanced_accuracy_k5", "accuracy_k20", "balanced_accuracy_k20"]
    assert {metric["n"] for metric in found.values()} == {120}
    assert list(metrics("linear", slides(1, True))) == ["accuracy", "balanced_accuracy", "macro_f1", "auroc"]


@pytest.mark.parametrize("task", TASKS)
def test_every_tested_item_is_predicted_once_in_the_fold_that_tests_it(task):
    data = slides(30, split=False)
    measured = measure(task, data, SETTINGS, seed=0, device=CPU)
    found = measured.predictions
    whole = task.startswith("slides-")
    order = np.argsort(found.item)
    assert found.item[order].tolist() == list(range(60 if whole else 360))
    first = np.arange(0, 360, 6) if whole else np.arange(360)
    assert found.label[order].tolist() == data.labels[first].tolist()
    assert found.group[order].tolist() == data.groups[first].tolist()
    assert set(found.fold) == set(range(5))
    assert all(len(set(found.fold[found.group == group])) == 1 for group in range(60))
    for probabilities in found.probabilities.values():
        assert (found.label == probabilities.argmax(-1).T).all()
    if whole:
        assert found.names == tuple(f"slide{i}" for i in found.item)


@pytest.mark.parametrize("task", ["slides-mean", "slides-abmil"])
def test_test_labels_do_not_affect_predictions(task):
    data = slides(1, split=True)
    test = data.splits == "test"
    relabelled = data.labels.copy()
    relabelled[test] = (relabelled[test] + 1) % 3
    other = Labelled(**{**vars(data), "labels": relabelled})
    once, again = (measure(task, d, SETTINGS, seed=0, device=CPU) for d in (data, other))
    np.testing.assert_array_equal(again.predictions.probabilities[""], once.predictions.probabilities[""])
    assert again.result["metrics"][0]["value"] != once.result["metrics"][0]["value"]


def test_low_label_metrics_are_averaged_over_several_draws():
    data = slides(1, split=True)
    measured = measure("linear-20pct", data, SETTINGS, seed=0, device=CPU)
    (drawn,) = measured.predictions.probabilities.values()
    accuracy = (drawn.argmax(2) == measured.predictions.label[:, None]).mean(axis=0)
    assert len(accuracy) == 5
    found = measured.result["metrics"][0]
    assert found["value"] == pytest.approx(accuracy.mean())
    assert found["std"] == pytest.approx(accuracy.std(ddof=1))
    assert found["low"] <= found["value"] <= found["high"]
    assert found["value"] < metrics("linear", data)["accuracy"]["value"]
    assert "std" not in metrics("linear", data)["accuracy"]


@pytest.mark.parametrize("task", ["retrieval", "slides-retrieval"])
@pytest.mark.parametrize("split", [True, False])
def test_retrieval_ranks_train_for_test_or_all_images_of_other_groups(task, split):
    settings = SETTINGS.model_copy(update={"retrieval": True})
    assert task in settings.image_tasks + settings.slide_tasks
    measured = measure(task, slides(30, split), settings, seed=0, device=CPU)
    assert measured.result["protocol"] == ("train -> test" if split else "leave-group-out")
    assert len(measured.predictions.item) == (20 if split else 60) * (1 if "slides" in task else 6)
    found = metrics(task, slides(30, split), settings)
    assert list(found)[:2] == ["average_precision", "precision_k5"]
    assert found["average_precision"]["value"] == found["precision_k5"]["value"] == 1
    noise = metrics(task, slides(0, split), settings)["average_precision"]
    assert noise["value"] == pytest.approx(noise["chance"], abs=0.06)
    if split:
        assert noise["low"] < noise["value"] < noise["high"]
    else:  # each group is searched by all others: resampled queries would give intervals that are far too narrow
        assert noise["low"] is noise["high"] is None


def with_labels(data: Labelled, changed: np.ndarray) -> Labelled:
    """The same images, but some have a fourth class."""
    return replace(data, labels=np.where(changed, 3, data.labels), classes=(*data.classes, "w"))


@pytest.mark.parametrize("strays", [1, 2])
@pytest.mark.parametrize("task", TASKS)
def test_other_classes_are_measured_if_one_has_only_one_or_two_slides(task, strays):
    data = slides(30, split=False)
    result = measure(task, with_labels(data, data.unit < strays), SETTINGS, seed=0, device=CPU).result
    found = {metric["metric"]: metric["value"] for metric in result["metrics"]}
    assert all(np.isfinite(value) for value in found.values())
    assert min(value for name, value in found.items() if name.startswith("accuracy")) > 0.9
    assert result["unlearnt_classes"] == ["w"] * (strays == 1)


@pytest.mark.parametrize("task", ["knn", "slides-mean", "retrieval", "slides-retrieval"])
def test_a_class_without_training_images_is_listed(task):
    """Three of 20 test slides have this class: they are misclassified, or left out of retrieval."""
    data = slides(30, split=True)
    result = measure(task, with_labels(data, data.unit % 21 == 0), SETTINGS, seed=0, device=CPU).result
    assert result["unlearnt_classes"] == ["w"]
    accuracy = result["metrics"][0]["value"]
    assert accuracy == (1 if "retrieval" in task else pytest.approx(0.85, abs=0.03))
    assert measure(task, data, SETTINGS, seed=0, device=CPU).result["unlearnt_classes"] == []


def test_retrieval_lists_the_class_that_has_only_one_group():
    data = slides(30, split=False)
    result = measure("retrieval", with_labels(data, data.unit == 0), SETTINGS, seed=0, device=CPU).result
    assert result["unlearnt_classes"] == ["w"]
    assert result["metrics"][0]["n"] == result["n"] - 6


@pytest.mark.parametrize(("labelled", "has_test"), [(True, True), (False, True), (False, False)])
@pytest.mark.parametrize("task", ["knn", "slides-mean", "retrieval"])
def test_the_result_marks_an_unlabelled_test_split(task, labelled, has_test):
    result = measure(task, replace(slides(30, labelled), has_test=has_test), SETTINGS, seed=0, device=CPU).result
    assert result["unlabelled_test"] is (has_test and not labelled)


@pytest.mark.parametrize(("task", "images"), [("knn", 6), ("slides-mean", 1)])
def test_tested_items_without_a_group_are_counted(task, images):
    data = slides(30, split=False)
    grouped = replace(data, grouped=data.unit >= 7)
    assert measure(task, data, SETTINGS, seed=0, device=CPU).result["n_ungrouped"] == 60 * images
    assert measure(task, grouped, SETTINGS, seed=0, device=CPU).result["n_ungrouped"] == 7 * images


def test_ordered_classes_give_slide_tasks_a_quadratic_kappa():
    ordered = SETTINGS.model_copy(update={"ordered_classes": ("z", "none such", "y", "x")})
    result = measure("slides-mean", slides(30, split=True), ordered, seed=0, device=CPU).result
    assert result["classes"] == ["z", "none such", "y", "x"]
    assert result["metrics"][-1] == result["metrics"][0] | {"metric": "quadratic_kappa", "chance": 0}
    assert "quadratic_kappa" not in metrics("linear", slides(30, split=True), ordered)


def test_labels_missing_in_ordered_classes_prevent_kappa_and_are_logged(caplog):
    unordered = SETTINGS.model_copy(update={"ordered_classes": ("x", "Y", "Z")})
    with caplog.at_level("INFO"):
        assert "quadratic_kappa" not in metrics("slides-mean", slides(30, split=True), unordered)
    assert "slides-mean: no quadratic kappa: ordered_classes lacks y, z; without images: Y, Z" in caplog.messages


@pytest.mark.parametrize("task", ["slides-mean", "slides-abmil"])
def test_slides_of_a_patient_are_one_bag(task):
    data = slides(30, split=False, slides=30, tiles=2)
    patient = data.labels + 3 * (data.unit // 6)  # two slides or so of one class
    grouped = Labelled(**{**vars(data), "groups": patient})
    measured = measure(
        task, grouped, SETTINGS.model_copy(update={"bags": "group", "mil_epochs": 2}), seed=0, device=CPU
    )
    assert measured.result["n"] == measured.result["n_groups"] == len(set(patient))
    for name, group, label in zip(*(getattr(measured.predictions, part) for part in ("names", "group", "label"))):
        members = np.unique(data.unit[patient == group])
        assert name == "+".join(f"slide{i}" for i in members)
        assert set(data.labels[patient == group]) == {label}
    if task == "slides-abmil":
        assert set(measured.attention) == set(data.units)
        of_bag = {slide: len(name.split("+")) for name in measured.predictions.names for slide in name.split("+")}
        for slide, (rows, weights, bag_images) in measured.attention.items():
            assert len(rows) == len(weights) == 2
            assert bag_images == 2 * of_bag[slide]
        name = measured.predictions.names[0]
        assert sum(measured.attention[slide][1].sum() for slide in name.split("+")) == pytest.approx(1)


def test_images_of_a_slide_never_vote_for_each_other():
    """Features that identify the slide make images of the same slide nearest neighbours."""
    data = slides(0, split=False)
    own = np.random.default_rng(2).normal(size=(60, 64)).astype(np.float32)[data.unit]
    named = Labelled(**{**vars(data), "features": own})
    leaking = Labelled(**{**vars(named), "groups": np.arange(len(own))})
    assert metrics("knn", named)["accuracy_k5"]["value"] < 0.6
    assert metrics("knn", leaking)["accuracy_k5"]["value"] > 0.9


def test_chance_is_the_most_common_class_of_train():
    data = slides(1, split=True)
    train, test = data.labels[data.splits == "train"], data.labels[data.splits == "test"]
    commonest = np.bincount(train).argmax()
    assert metrics("linear", data)["accuracy"]["chance"] == pytest.approx((test == commonest).mean())


def test_too_few_training_images_for_any_k_are_unmeasurable():
    with pytest.raises(Unmeasurable, match="fewer than the smallest k"):
        metrics("knn", slides(1, split=True), Evaluation(knn=(1000,)))


def test_disabled_tasks_are_not_listed():
    nothing = Evaluation(knn=(), linear=False, slides=())
    assert nothing.image_tasks + nothing.slide_tasks == ()
