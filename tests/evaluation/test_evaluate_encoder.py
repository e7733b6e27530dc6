import argparse
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from tests.warm_python import warm_python

import evaluate_encoder
from gensis.artifacts.files import write_json
from gensis.artifacts.tables import write_table
from gensis.errors import UserError
from gensis.evaluation.labelled import Labelled
from gensis.images.embeddings import write_embeddings

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
IMAGE_TASKS, SLIDE_TASKS = ["knn", "linear"], ["slides-mean", "slides-abmil"]
CONFIG = {
    "knn": [1, 5, 500],
    "low_label": [0.2],
    "corruptions": ["blur"],
    "linear_sgd": True,
    "mil_epochs": 3,
    "mil_seeds": 1,
    "bootstrap": 50,
}


def run(script: str, *arguments: object) -> subprocess.CompletedProcess:
    command = [warm_python(), SCRIPTS / f"{script}.py", *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


@pytest.fixture
def slides(tmp_path):
    """Twelve slides of four tiles in two parts, and one slide without tiles; features are informative."""
    generator = np.random.default_rng(0)
    for part in range(2):
        units = tuple(f"s{part * 6 + i}" for i in range(6)) + (("none",) if part else ())
        unit = np.repeat(np.arange(6), 4).astype(np.int32)
        features = generator.normal(size=(24, 5)) + 20 * (unit % 2)[:, None] * np.eye(5)[0]
        write_embeddings(
            tmp_path / f"part-000{part}.h5", [features], unit=unit, units=units, keys=np.arange(24)[:, None] * [1, 0]
        )
    rows = [(f"s{i}", f"case{i // 2}", "", "ok", 4, f"of-s{i}") for i in range(12)]
    rows += [("none", "", "", "no_tissue", 0, "of-none")]
    write_table(tmp_path / "units.tsv", ("unit", "group", "split", "outcome", "images", "content"), rows)
    labels = [(f"s{i}", "", "AB"[i % 2], "") for i in range(12)] + [("none", "", "A", "")]
    write_table(tmp_path / "labels.tsv", ("unit", "row", "label", "group"), labels)
    return tmp_path


def evaluate(folder: Path, tasks: list[str], *more: object) -> subprocess.CompletedProcess:
    return run(
        "evaluate_encoder", "--config", json.dumps(CONFIG), "--tasks", *tasks,
        "--embeddings", *sorted(folder.glob("part-*.h5")),
        "--units", folder / "units.tsv", "--labels", folder / "labels.tsv", "--encoder", "dino", "--dataset", "demo",
        "--seed", 3, "--output", folder / "evaluation", "--threads", 1, *more,
    )  # fmt: skip


def evaluated(folder: Path, tasks: list[str], **changes: object) -> None:
    """Run the script's main function in this process."""
    arguments = {"config": CONFIG, "tasks": tasks, "embeddings": sorted(folder.glob("part-*.h5")), "corrupted": []}
    arguments |= {"last_blocks": [], "units": folder / "units.tsv", "labels": folder / "labels.tsv", "targets": None}
    arguments |= {"encoder": "dino", "dataset": "demo", "slides_are_units": False, "seen": False}
    arguments |= {"learnt_from": [], "fit": None, "fit_embeddings": [], "fit_units": None, "fit_labels": None}
    arguments |= {"output": folder / "evaluation", "seed": 3, "threads": 1, "gpus": 0, "started": time.time()}
    evaluate_encoder.main(argparse.Namespace(**(arguments | changes)))


def test_slides_are_evaluated_and_summarised_end_to_end(slides):
    done = evaluate(slides, IMAGE_TASKS + SLIDE_TASKS, "--slides-are-units", "--seen")
    assert done.returncode == 0, done.stderr
    assert "left out: 1 slides without a label or images" in done.stderr
    assert "k = 500 dropped" in done.stderr
    files = sorted(os.listdir(slides / "evaluation"))
    assert files == [
        "attention.h5", "knn.json", "linear.json", "predictions.h5", "slides-abmil.json", "slides-mean.json"
    ]  # fmt: skip
    mean = json.loads((slides / "evaluation" / "slides-mean.json").read_text())
    fields = "format encoder dataset seed task protocol transductive unlabelled_test classes unlearnt_classes"
    fields += " n n_groups n_ungrouped metrics provenance checksum"
    assert list(mean) == fields.split()
    assert (mean["format"], mean["encoder"], mean["dataset"]) == ("gensis-evaluation/1", "dino", "demo")
    assert (mean["seed"], mean["task"], mean["n"], mean["n_groups"]) == (3, "slides-mean", 12, 6)
    assert mean["protocol"] == "5-fold cross-validation by group"
    assert mean["transductive"] is True
    assert list(mean["metrics"][0]) == ["metric", "value", "low", "high", "n", "chance"]
    assert mean["metrics"][0] == {"metric": "accuracy", "value": 1, "low": 1, "high": 1, "n": 12, "chance": 0.5}
    assert set(mean["provenance"]["inputs"]) == {"embeddings", "units", "labels"}
    assert "knn" not in mean["provenance"]["settings"]

    with h5py.File(slides / "evaluation/predictions.h5") as file:
        assert set(file) == {"knn", "linear", "slides-mean", "slides-abmil"}
        assert file.attrs["format"] == json.loads(file.attrs["provenance"])["format"] == "gensis-predictions/1"
        assert set(file["knn"]) == {"item", "group", "fold", "label", "predicted_k1", "predicted_k5"}
        whole = file["slides-mean"]
        assert set(whole) == {"item", "group", "fold", "label", "predicted", "probabilities", "unit"}
        assert {name for name in whole["unit"].asstr()} == {f"s{i}" for i in range(12)}
        assert json.loads(whole.attrs["classes"]) == ["A", "B"]
        assert all("AB"[label] == "AB"[item % 2] for item, label in zip(whole["item"], whole["label"]))
        np.testing.assert_array_equal(whole["probabilities"][:].argmax(1), whole["predicted"])

    with h5py.File(slides / "evaluation/attention.h5") as file:
        assert set(file) == {"coords", "slides-abmil"}
        assert set(file["slides-abmil"]) == set(file["coords"]) == {f"s{i}" for i in range(12)}
        assert file["coords/s7"][:].tolist() == [[4, 0], [5, 0], [6, 0], [7, 0]]
        assert file["slides-abmil/s7"][:].sum() == pytest.approx(1)

    evaluations = sorted((slides / "evaluation").glob("*.json"))
    assert (
        run(
            "summarize",
            "--baseline",
            "dino",
            "--evaluations",
            *evaluations,
            "--output",
            slides / "summary.csv",
            "--comparisons",
            slides / "comparisons.csv",
        ).returncode
        == 0
    )
    with open(slides / "summary.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["encoder", "dataset", "seed", "task", "metric", "value", "low", "high", "n", "n_groups"]
    assert len(rows) == 2 * (4 + 3 * 4)
    area = next(row for row in rows if (row["encoder"], row["metric"]) == ("chance", "auroc"))
    assert (area["dataset"], area["seed"], area["value"], area["low"], area["n"]) == ("demo", "3", "0.5", "", "48")
    assert {row["n_groups"] for row in rows} == {"6"}


def measured_again(folder: Path, **changes: object) -> set[str]:
    """Run in this process; returns the tasks that were measured again. Results that are reused have a mark."""
    settings = {"slides": ["abmil", "dsmil"], "knn": [1, 5], "mil_epochs": 1, "mil_seeds": 1, "bootstrap": 0}
    evaluate_encoder.main(
        SimpleNamespace(
            config=settings | {"folds": 2} | changes, tasks=["knn", "slides-abmil", "slides-dsmil"],
            gpus=0, threads=1, seed=3, started=time.time(), corrupted=[], last_blocks=[],
            embeddings=sorted(folder.glob("part-*.h5")), units=folder / "units.tsv", labels=folder / "labels.tsv",
            targets=None, encoder="dino", dataset="demo", slides_are_units=True, seen=False, learnt_from=[],
            fit=None, fit_embeddings=[], fit_units=None, fit_labels=None, output=folder / "evaluation",
        )
    )  # fmt: skip
    again = set()
    for path in (folder / "evaluation").glob("*.json"):
        result = json.loads(path.read_text())
        again |= set() if "mark" in result else {path.stem}
        write_json(path, result | {"mark": True})
    return again


def test_a_task_is_measured_again_only_if_settings_or_inputs_changed(slides):
    attended = {"slides-abmil", "slides-dsmil"}
    everything = {"knn", *attended}
    assert measured_again(slides) == everything
    with h5py.File(slides / "evaluation/attention.h5") as file:
        before = {name: file[f"slides-dsmil/{name}"][:] for name in file["slides-dsmil"]}
    assert measured_again(slides) == set()
    assert measured_again(slides, knn=[1, 3]) == {"knn"}
    assert measured_again(slides, knn=[1, 3], mil_epochs=2) == attended
    assert measured_again(slides, knn=[1, 3]) == attended
    with h5py.File(slides / "evaluation/predictions.h5") as file:
        assert set(file) == everything
        assert "predicted_k3" in file["knn"]
    with h5py.File(slides / "evaluation/attention.h5") as file:
        assert set(file) == {"coords", *attended}
        for name, weights in before.items():
            np.testing.assert_array_equal(file[f"slides-dsmil/{name}"][:], weights)
    (slides / "evaluation/slides-dsmil.json").unlink()
    assert measured_again(slides, knn=[1, 3]) == {"slides-dsmil"}
    (slides / "evaluation/attention.h5").unlink()
    assert measured_again(slides, knn=[1, 3]) == attended
    (slides / "evaluation/predictions.h5").unlink()
    assert measured_again(slides, knn=[1, 3]) == everything
    labels = [(f"s{i}", "", "AB"[i % 2], "") for i in range(11)]
    write_table(slides / "labels.tsv", ("unit", "row", "label", "group"), labels)
    assert measured_again(slides, knn=[1, 3]) == everything


@pytest.mark.parametrize(
    ("splits", "trained_on", "seen", "expected"),
    [
        ({}, [], False, False),  # no training images, as for pixels
        ({}, [], True, True),  # files that are tested
        ({}, ["of-s3"], False, True),  # a copy of a tested slide, tiled under another name
        ({"s3": "train", "s0": "test"}, ["of-s3"], False, False),  # trained on, but not tested
        ({"s3": "train", "s4": "test"}, ["of-s4"], False, True),
        ({}, ["of-none"], False, False),  # it has no images
    ],
)
def test_transductive_marks_encoders_that_were_trained_on_tested_images(tmp_path, splits, trained_on, seen, expected):
    units = [*(f"s{i}" for i in range(5)), "none"]
    rows = [(unit, "", splits.get(unit, ""), f"of-{unit}") for unit in units]
    write_table(tmp_path / "units.tsv", ("unit", "group", "split", "content"), rows)
    write_table(tmp_path / "train.tsv", ("unit", "content"), [(content, content) for content in trained_on])
    arguments = SimpleNamespace(units=tmp_path / "units.tsv", learnt_from=[tmp_path / "train.tsv"], seen=seen)
    unit = np.repeat(np.arange(5), 2)
    split_of_image = np.array([splits.get(units[i], "") for i in unit])
    labelled = Labelled(
        features=np.zeros((10, 1)),
        item=unit,
        labels=unit,
        groups=unit,
        splits=split_of_image,
        unit=unit,
        classes=("a", "b"),
        units=tuple(units),
        grouped=np.zeros(10, bool),
        has_test="test" in splits.values(),
    )
    assert evaluate_encoder.saw_tested(arguments, labelled) is expected


def test_single_images_are_tested_on_the_test_split(tmp_path):
    for part, split in enumerate(("train", "test")):
        unit = np.zeros(30, np.int32)
        features = np.random.default_rng(part).normal(size=(30, 4)) + 20 * np.eye(2, 4)[np.arange(30) % 2]
        keys = np.array([f"{i}.png" for i in range(30)])
        write_embeddings(tmp_path / f"part-000{part}.h5", [features], unit=unit, units=(f"{split}-0000",), keys=keys)
    units = [(f"{split}-0000", "", split, "ok", 30, f"of-{split}") for split in ("train", "test")]
    columns = ("unit", "group", "split", "outcome", "images", "content")
    write_table(tmp_path / "units.tsv", columns, sorted(units, reverse=True))
    labels = [(f"{split}-0000", i, "AB"[i % 2], "") for split in ("test", "train") for i in range(30)]
    write_table(tmp_path / "labels.tsv", ("unit", "row", "label", "group"), labels)

    for severity in range(1, 6):  # from the third on, features of the classes are swapped
        moved = features if severity < 3 else features[np.arange(30) ^ 1]
        write_embeddings(
            tmp_path / f"blur-{severity}/part-0001.h5", [moved], unit=unit, units=("test-0000",), keys=keys
        )

    for part, split in enumerate(("train", "test")):
        informative = [np.eye(2, 7)[np.arange(30) % 2] * 30]
        path = tmp_path / f"blocks/part-000{part}.h5"
        write_embeddings(path, informative, unit=unit, units=(f"{split}-0000",), keys=keys, flipped=informative)

    corrupted = sorted(tmp_path.glob("blur-*/part-0001.h5"))
    more = ["--corrupted", *corrupted, "--last-blocks", *sorted(tmp_path.glob("blocks/*.h5"))]
    done = evaluate(tmp_path, [*IMAGE_TASKS, "linear-sgd", "linear-20pct", "corruptions"], *more)
    assert done.returncode == 0, done.stderr
    names = {"knn.json", "linear.json", "linear-sgd.json", "linear-20pct.json", "corruptions.json", "predictions.h5"}
    assert set(os.listdir(tmp_path / "evaluation")) == names
    for task in ("knn", "linear", "linear-sgd"):
        result = json.loads((tmp_path / "evaluation" / f"{task}.json").read_text())
        assert (result["protocol"], result["transductive"]) == ("train -> test", False)
        assert (result["n"], result["n_groups"], result["metrics"][0]["value"]) == (30, 30, 1)
    with h5py.File(tmp_path / "evaluation/predictions.h5") as file:
        assert file["linear/item"][:].tolist() == list(range(30, 60))
        assert "probabilities" not in file["linear"]
        assert set(file["linear-20pct"]) == {"item", "group", "fold", "label", "drawn"}
        assert file["linear-20pct/drawn"].shape == (30, 5)
    corrupted = json.loads((tmp_path / "evaluation/corruptions.json").read_text())
    assert corrupted["by_severity"]["linear"] == {"blur": [1, 1, 0, 0, 0]}
    assert {metric["metric"]: metric["value"] for metric in corrupted["metrics"]}["knn_accuracy_blur"] == pytest.approx(
        0.4
    )


def two_parts(folder: Path, name: str, features: np.ndarray, keys: list[str], parts: tuple[int, ...]) -> None:
    """Write some parts of embeddings: of 30 training images (part 0) and of 30 test images (part 1)."""
    for part in parts:
        images, unit = slice(30 * part, 30 * part + 30), ("train-0000", "test-0000")[part]
        path = folder / name / f"part-000{part}.h5"
        write_embeddings(
            path, [features[images]], unit=np.zeros(30, np.int32), units=(unit,), keys=np.array(keys[images])
        )


def write_units(folder: Path) -> None:
    """Write a training unit and a test unit of 30 images each."""
    units = [(f"{split}-0000", "", split, "ok", 30, f"of-{split}") for split in ("train", "test")]
    write_table(folder / "units.tsv", ("unit", "group", "split", "outcome", "images", "content"), units)


@pytest.mark.parametrize(
    ("embedded", "keys", "by_severity"),
    [
        ((0,), 0, [1] * 5),
        ((0, 1), 0, [1] * 5),
        ((1,), 0, "images of unit 'train-0000' are tested, but have no embeddings of corrupted images"),
        ((0,), 1, "the embeddings of blur-1 lack image 0 of unit 'train-0000', or have another image in its place"),
    ],
    ids=["train", "both", "test", "other-images"],
)
def test_corrupted_embeddings_follow_the_images_that_are_tested(tmp_path, embedded, keys, by_severity):
    """The corruptions change nothing, so that the accuracy must be 1."""
    features = np.random.default_rng(0).normal(size=(60, 4)) + 20 * np.eye(2, 4)[np.arange(60) % 7 % 2]
    names = [f"{i}.png" for i in range(60)]
    two_parts(tmp_path, ".", features, names, (0, 1))
    for severity in range(1, 6):
        two_parts(tmp_path, f"blur-{severity}", features, names[keys:] + names[:keys], embedded)
    write_units(tmp_path)
    labels = [("train-0000", i, "AB"[i % 7 % 2], "") for i in range(30)]
    write_table(tmp_path / "labels.tsv", ("unit", "row", "label", "group"), labels)
    corrupted = sorted(tmp_path.glob("blur-*/part-*.h5"))
    if keys:
        with pytest.raises(UserError, match=by_severity):
            evaluated(tmp_path, ["corruptions"], corrupted=corrupted)
        return
    evaluated(tmp_path, ["corruptions"], corrupted=corrupted)
    result = json.loads((tmp_path / "evaluation/corruptions.json").read_text())
    if isinstance(by_severity, str):
        assert result["skipped"].startswith(by_severity)
    else:
        assert result["by_severity"] == {name: {"blur": by_severity} for name in ("knn", "linear")}


def test_caveats_of_metrics_are_in_the_results_and_the_log(tmp_path, caplog):
    """One test split has no labels, another has a class that train does not have."""
    features = np.random.default_rng(0).normal(size=(60, 4))
    two_parts(tmp_path, ".", features, [f"{i}.png" for i in range(60)], (0, 1))
    write_units(tmp_path)
    labels = [("train-0000", i, "AB"[i % 2], "") for i in range(30)]
    for name, more in {"unlabelled": [], "class": [("test-0000", i, "BC"[i % 2], f"p{i}") for i in range(10)]}.items():
        write_table(tmp_path / f"{name}.tsv", ("unit", "row", "label", "group"), labels + more)
        with caplog.at_level("INFO"):
            evaluated(tmp_path, ["knn"], labels=tmp_path / f"{name}.tsv", output=tmp_path / name)
    results = [json.loads((tmp_path / name / "knn.json").read_text()) for name in ("unlabelled", "class")]
    assert [result["unlabelled_test"] for result in results] == [True, False]
    assert [result["unlearnt_classes"] for result in results] == [[], ["C"]]
    assert [result["n_ungrouped"] for result in results] == [30, 0]
    messages = "\n".join(caplog.messages)
    assert messages.count("knn: no image of the test split has a label") == 1
    assert messages.count("missing in a training part, so never classified correctly: C") == 1
    assert messages.count("knn: 30 tested items have no group (patient, case)") == 1


def test_image_tasks_measure_labelled_tiles_and_slide_tasks_labelled_slides(slides):
    labels = [(f"s{i}", "", "AB"[i % 2], "") for i in range(12)]
    labels += [(f"s{i}", row, "tumour" if i % 2 else "stroma", "") for i in range(8) for row in (0, 3)]
    write_table(slides / "labels.tsv", ("unit", "row", "label", "group"), labels)
    write_json(slides / "evaluation/linear.json", {"task": "of an earlier config"})
    done = evaluate(slides, ["knn", "slides-mean"], "--slides-are-units")
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(slides / "evaluation")) == ["knn.json", "predictions.h5", "slides-mean.json"]
    knn, mean = (json.loads((slides / "evaluation" / f"{task}.json").read_text()) for task in ("knn", "slides-mean"))
    assert (knn["classes"], knn["n"], knn["n_groups"]) == (["stroma", "tumour"], 16, 4)
    assert (mean["classes"], mean["n"], mean["n_groups"]) == (["A", "B"], 12, 6)


def test_targets_are_tasks_of_their_own_and_change_no_other_result(slides):
    done = evaluate(slides, ["slides-mean"], "--slides-are-units")
    assert done.returncode == 0, done.stderr
    before = (slides / "evaluation/slides-mean.json").read_bytes()
    ages = [(f"s{i}", "age", "regression", 40 + i) for i in range(12)]
    months = [(f"s{i}", "os", "survival", f"{12 - i}{'+' if i % 3 else ''}") for i in range(12)]
    grades = [(f"s{i}", "grade", "classification", "low" if i % 2 else "high") for i in range(10)]
    write_table(slides / "targets.tsv", ("unit", "target", "kind", "label"), [*ages, *months, *grades])
    tasks = ["slides-mean", "slides-mean-grade", "survival-mean-os", "regression-abmil-age", "regression-mean-grade"]
    done = evaluate(slides, tasks, "--slides-are-units", "--targets", slides / "targets.tsv")
    assert done.returncode == 0, done.stderr
    assert (slides / "evaluation/slides-mean.json").read_bytes() == before
    grade, os_, age, none = (json.loads((slides / f"evaluation/{task}.json").read_text()) for task in tasks[1:])
    assert (grade["classes"], grade["n"], grade["n_groups"]) == (["high", "low"], 10, 5)
    assert (os_["events"], os_["n"], os_["metrics"][0]["metric"]) == (4, 12, "concordance")
    assert [metric["metric"] for metric in age["metrics"]] == ["r2", "pearson", "mae"]
    assert set(age["provenance"]["inputs"]) == {"embeddings", "units", "labels", "targets"}
    assert none["skipped"] == "no labelled slide has images"
    with h5py.File(slides / "evaluation/predictions.h5") as file:
        assert set(file["survival-mean-os"]) == {"item", "group", "fold", "time", "event", "risk", "unit"}
        assert set(file["regression-abmil-age"]) == {"item", "group", "fold", "value", "estimate", "unit"}
        assert sorted(file["regression-abmil-age/value"]) == list(range(40, 52))
    with h5py.File(slides / "evaluation/attention.h5") as file:
        assert set(file) == {"coords", "regression-abmil-age"}


def test_images_that_are_not_selected_are_not_measured(slides):
    columns = ("unit", "group", "split", "outcome", "images", "rows", "content")
    rows = [(f"s{i}", f"case{i // 2}", "", "ok", 4, "", "") for i in range(10)]
    rows += [("s10", "case5", "", "ok", 3, "0,2-3", ""), ("s11", "case5", "", "low_quality", 0, "none", "")]
    write_table(slides / "units.tsv", columns, [*rows, ("none", "", "", "no_tissue", 0, "", "")])
    done = evaluate(slides, ["knn", "slides-mean"], "--slides-are-units")
    assert done.returncode == 0, done.stderr
    knn, mean = (json.loads((slides / "evaluation" / f"{task}.json").read_text()) for task in ("knn", "slides-mean"))
    assert (knn["n"], mean["n"]) == (43, 11)
    assert "images without a label" not in done.stderr
    assert "left out: 2 slides without a label or images" in done.stderr


def test_without_labels_every_task_is_skipped_and_the_summary_has_no_row(slides):
    write_table(slides / "labels.tsv", ("unit", "row", "label", "group"), [])
    done = evaluate(slides, IMAGE_TASKS + SLIDE_TASKS, "--slides-are-units")
    assert done.returncode == 0, done.stderr
    assert "knn: skipped: no labels" in done.stderr
    files = sorted((slides / "evaluation").glob("*.json"))
    assert len(files) == 4
    with h5py.File(slides / "evaluation/predictions.h5") as file:
        assert list(file) == []
    for path in files:
        result = json.loads(path.read_text())
        assert result["skipped"]
        assert "metrics" not in result
    assert (
        run(
            "summarize",
            "--baseline",
            "dino",
            "--evaluations",
            *files,
            "--output",
            slides / "summary.csv",
            "--comparisons",
            slides / "comparisons.csv",
        ).returncode
        == 0
    )
    assert (slides / "summary.csv").read_text() == "encoder,dataset,seed,task,metric,value,low,high,n,n_groups\n"


def test_an_unknown_task_is_refused_before_any_is_measured(slides):
    with pytest.raises(UserError, match="no evaluation task 'slides-transmil'"):
        evaluated(slides, ["knn", "slides-transmil"])
    assert not (slides / "evaluation").exists()


def test_inputs_that_do_not_match_end_with_one_line(slides):
    (slides / "part-0001.h5").unlink()
    done = evaluate(slides, IMAGE_TASKS + SLIDE_TASKS, "--slides-are-units")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: embeddings hold 0 images of unit 's6'")
    assert "Traceback" not in done.stderr


def test_the_summary_has_chance_once_and_empty_cells_for_no_interval(tmp_path):
    metric = {"metric": "accuracy", "value": 2 / 3, "low": None, "high": None, "n": 9, "chance": 0.5}
    for encoder in ("dino", "gen-dino"):
        subject = {"encoder": encoder, "dataset": "demo", "seed": 0, "task": "linear"}
        write_json(tmp_path / f"{encoder}.json", {**subject, "n_groups": 4, "metrics": [metric]})
    output = tmp_path / "summary.csv"
    run(
        "summarize",
        "--baseline",
        "dino",
        "--evaluations",
        tmp_path / "dino.json",
        tmp_path / "gen-dino.json",
        "--output",
        output,
        "--comparisons",
        tmp_path / "c.csv",
    )
    assert output.read_text().splitlines()[1:] == [
        "dino,demo,0,linear,accuracy,0.666667,,,9,4",
        "gen-dino,demo,0,linear,accuracy,0.666667,,,9,4",
        "chance,demo,0,linear,accuracy,0.5,,,9,4",
    ]


@pytest.mark.parametrize("module", ["summarize", "gensis.evaluation.metrics", "gensis.evaluation.bootstrap"])
def test_modules_that_the_report_uses_do_not_import_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


def test_classifiers_of_one_data_set_are_tested_on_another_and_missing_classes_are_named(slides, tmp_path):
    """The other data set has class A where this one has B, so all its images of A are taken for B."""
    other = tmp_path / "other"
    other.mkdir()
    labels = ["A", "B", "new"] * 2
    far = np.repeat([20.0, 20.0, 0.0] * 2, 2)[:, None] * np.eye(5)[0]
    unit, units = np.repeat(np.arange(6), 2), tuple(f"t{i}" for i in range(6))
    keys = np.arange(12)[:, None] * [1, 0]
    write_embeddings(other / "part-0000.h5", [far.astype(np.float32)], unit=unit, units=units, keys=keys)
    rows = [(name, "", "test" if i >= 3 else "train", "ok", 2, f"of-{name}") for i, name in enumerate(units)]
    write_table(other / "units.tsv", ("unit", "group", "split", "outcome", "images", "content"), rows)
    write_table(
        other / "labels.tsv", ("unit", "row", "label", "group"), [(*each, "") for each in zip(units, [""] * 6, labels)]
    )
    done = evaluate(
        other, ["knn", "linear"], "--fit", "first", "--fit-embeddings", *sorted(slides.glob("part-*.h5")),
        "--fit-units", slides / "units.tsv", "--fit-labels", slides / "labels.tsv", "--fit-slides-are-units",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for task in ("knn", "linear"):
        result = json.loads((other / f"evaluation/{task}.json").read_text())
        assert (result["dataset"], result["protocol"], result["n"]) == ("first-to-demo", "train -> test", 4)
        assert (result["classes"], result["left_out_classes"]) == (["A", "B"], ["new"])
        assert result["metrics"][0]["value"] == 0.5
        assert {"fit_embeddings", "fit_units", "fit_labels"} <= result["provenance"]["inputs"].keys()
    assert "no image to learn from has their class: new" in done.stderr
