"""Classifiers of one data set, tested on another."""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import evaluate_encoder
from gensis.artifacts.tables import write_table
from gensis.errors import UserError
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.labelled import Labelled
from gensis.evaluation.protocol import plan
from gensis.evaluation.transfer import transferred
from gensis.images.embeddings import write_embeddings

TASKS = ["slides-mean", "slides-abmil"]


def labelled(names: str, classes: str, splits: list[str], first: float) -> Labelled:
    """Images with one-letter classes; the only feature of each is its number, from ``first``."""
    n = len(names)
    return Labelled(
        features=np.arange(first, first + n, dtype=np.float32)[:, None],
        item=np.arange(n),
        labels=np.array([classes.index(name) for name in names]),
        groups=np.arange(n),
        splits=np.array(splits),
        unit=np.zeros(n, np.int32),
        classes=tuple(classes),
        units=("all",),
        grouped=np.ones(n, bool),
        has_test="test" in splits,
    )


def test_train_images_of_one_data_set_and_test_images_of_another_meet_by_the_names_of_classes():
    fit = labelled("abca", "abc", ["train", "train", "train", "test"], 0)
    tested = labelled("cdac", "acd", ["train", "test", "test", "test"], 10)
    found = transferred(fit, tested)
    ((train, test),) = plan(found.labels, found.groups, found.splits, 5).rounds
    names = np.array(found.classes)[found.labels]
    assert found.features[train, 0].tolist() == [0, 1, 2]
    assert found.features[test, 0].tolist() == [12, 13]
    assert [names[train].tolist(), names[test].tolist()] == [["a", "b", "c"], ["a", "c"]]
    assert (found.item[test].tolist(), found.left_out_classes) == ([2, 3], ("d",))
    assert len(np.unique(found.groups)) == 5


def test_without_test_splits_all_images_are_used():
    fit, tested = labelled("ab", "ab", ["", ""], 0), labelled("ba", "ab", ["", ""], 10)
    found = transferred(replace(fit, classes=("a", "b")), tested)
    assert found.splits.tolist() == ["test", "test", "train", "train"]
    assert found.labels.tolist() == [1, 0, 0, 1]
    assert found.left_out_classes == ()


def test_without_a_class_in_common_nothing_is_left_to_measure():
    found = transferred(labelled("abab", "ab", [""] * 4, 0), labelled("cdcd", "cd", [""] * 4, 10))
    assert (len(found.labels), found.left_out_classes) == (0, ("c", "d"))
    with pytest.raises(Unmeasurable):
        plan(found.labels, found.groups, found.splits, 5)


def slides_of_hospital(folder: Path, number: int, classes: str, patients: int) -> dict[str, Path]:
    """Slides `s0`, `s1`, ... of six tiles each and their tables; the first feature separates the class `a`."""
    folder.mkdir()
    unit = np.repeat(np.arange(len(classes)), 6).astype(np.int32)
    features = np.random.default_rng(number).normal(size=(len(unit), 5))
    features[:, 0] += 20 * (np.array(list(classes)) == "a")[unit]
    names = [f"s{i}" for i in range(len(classes))]
    keys = np.stack([np.arange(len(unit)) + 1000 * number] * 2, axis=1)
    write_embeddings(folder / "part-0000.h5", [features], unit=unit, units=tuple(names), keys=keys)
    rows = [(name, f"p{i % patients}", "", "ok", 6, f"{number}-{name}") for i, name in enumerate(names)]
    write_table(folder / "units.tsv", ("unit", "group", "split", "outcome", "images", "content"), rows)
    labels = [(name, "", label, "") for name, label in zip(names, classes)]
    write_table(folder / "labels.tsv", ("unit", "row", "label", "group"), labels)
    return {"embeddings": [folder / "part-0000.h5"], "units": folder / "units.tsv", "labels": folder / "labels.tsv"}


def evaluate_transfer(folder: Path, fit: dict[str, Path], tested: dict[str, Path], **config: object) -> None:
    """Run the script; the results are in the folder `found`."""
    config = {"mil_epochs": 20, "mil_seeds": 1, "bootstrap": 50} | config
    arguments = {"config": config, "tasks": TASKS, "corrupted": [], "last_blocks": [], "targets": None, **tested}
    arguments |= {"encoder": "dino", "dataset": "there", "slides_are_units": True, "seen": False, "learnt_from": []}
    arguments |= {"fit": "here", "fit_slides_are_units": True} | {f"fit_{name}": value for name, value in fit.items()}
    arguments |= {"output": folder / "found", "seed": 3, "threads": 1, "gpus": 0, "started": time.time()}
    evaluate_encoder.main(argparse.Namespace(**arguments))


def test_a_slide_under_two_names_is_not_learnt_from_and_tested(tmp_path):
    fit = slides_of_hospital(tmp_path / "here", 0, "ababababab", 10)
    tested = slides_of_hospital(tmp_path / "there", 1, "aabbab", 6)
    table = tested["units"].read_text()
    tested["units"].write_text(table.replace("1-s4", "0-s2"))
    with pytest.raises(UserError, match="'s2' of here and 's4' of there have the same images"):
        evaluate_transfer(tmp_path, fit, tested)
    (tmp_path / "there/units.tsv").write_text(table)
    evaluate_transfer(tmp_path, fit, tested)


@pytest.mark.parametrize("bags", ["slide", "group"])
def test_slide_classifiers_of_one_hospital_are_tested_on_the_patients_of_another(tmp_path, bags):
    fit = slides_of_hospital(tmp_path / "here", 0, "ababababab", 10)
    tested = slides_of_hospital(tmp_path / "there", 1, "aabbcb" * 2, 6)  # slide i and slide i + 6 are of one patient
    evaluate_transfer(tmp_path, fit, tested, bags=bags)
    for task in TASKS:
        result = json.loads((tmp_path / f"found/{task}.json").read_text())
        assert (result["dataset"], result["protocol"]) == ("here-to-there", "train -> test")
        assert (result["classes"], result["left_out_classes"]) == (["a", "b"], ["c"])
        assert (result["n"], result["n_groups"]) == (10 if bags == "slide" else 5, 5)
        assert {metric["metric"]: metric["value"] for metric in result["metrics"]}["balanced_accuracy"] == 1
    kept = [0, 1, 2, 3, 5, 6, 7, 8, 9, 11] if bags == "slide" else [0, 1, 2, 3, 5]
    with h5py.File(tmp_path / "found/predictions.h5") as file:
        assert sorted(file["slides-mean/item"][:]) == kept
        names = {part for name in file["slides-mean/unit"].asstr() for part in name.split("+")}
    with h5py.File(tmp_path / "found/attention.h5") as file:
        assert set(file["slides-abmil"]) == names == {f"s{i}" for i in range(12)} - {"s4", "s10"}
        assert file["coords/s5"][:, 0].tolist() == list(range(1030, 1036))
