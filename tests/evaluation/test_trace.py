import csv
import subprocess
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from tests.warm_python import warm_python

from gensis.artifacts.tables import write_table
from gensis.evaluation.trace import knn_trace, labels_and_groups, usable
from gensis.images.index import write_index
from gensis.images.looks import add_look, read_looks, write_looks

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/trace_encoder.py"
TEMPERATURE = 0.07


def unit_vectors(*shape):
    vectors = np.random.default_rng(0).normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_each_image_is_voted_on_by_the_nearest_of_other_groups():
    looks, labels, groups = unit_vectors(2, 40, 5), np.arange(40) % 3, np.arange(40) // 4
    for features, found in zip(looks, knn_trace(looks, labels, groups, [1, 7], TEMPERATURE)):
        for k, accuracy in found.items():
            right = 0
            for i in range(40):
                others = groups != groups[i]
                reference = KNeighborsClassifier(
                    k, metric="cosine", weights=lambda distance: np.exp((1 - distance) / TEMPERATURE)
                )
                reference.fit(features[others], labels[others])
                right += reference.predict(features[i : i + 1])[0] == labels[i]
            assert accuracy == right / 40


def test_an_image_has_its_own_label_or_its_slides_and_the_group_that_is_named_nearest_to_it():
    units = [{"unit": "a", "group": "case"}, {"unit": "b", "group": ""}]
    labels = [
        {"unit": "a", "row": "", "label": "x", "group": ""},
        {"unit": "b", "row": "", "label": "y", "group": "case"},
    ]
    images = [("a", "0"), ("b", "3"), ("b", "4")]
    codes, groups = labels_and_groups(images, units, labels, slides_are_units=True)
    assert codes.tolist() == [0, 1, 1]
    assert len(set(groups)) == 1
    own = [{"unit": "b", "row": "3", "label": "z", "group": ""}]
    codes, groups = labels_and_groups(images, units, labels + own, slides_are_units=False)
    assert codes.tolist() == [-1, 0, -1]
    assert len(set(groups)) == 3


def test_neighbours_that_some_image_lacks_and_single_classes_are_left_out():
    groups = np.array([0, 0, 0, 1, 2])
    assert usable([1, 2, 3], np.array([0, 1, 0, 1, 0]), groups) == [1, 2]
    assert usable([1], np.zeros(5, int), groups) == []
    assert usable([1], np.zeros(0, int), np.zeros(0, int)) == []


def test_looks_are_kept_one_by_one_and_read_in_the_order_of_their_steps(tmp_path):
    looks = unit_vectors(2, 6, 4)
    add_look(tmp_path / "looks", 20, looks[0])
    add_look(tmp_path / "looks", 20, looks[1])  # a step that was done again after a crash
    add_look(tmp_path / "looks", 5, looks[0])
    write_looks(tmp_path / "looks.h5", np.arange(6), tmp_path / "looks")
    found = read_looks(tmp_path / "looks.h5")
    assert found.steps.tolist() == [5, 20]
    assert found.features == pytest.approx(looks, abs=1e-3)


def test_the_script_writes_a_line_a_look_and_k_for_the_labelled_images(tmp_path):
    add_look(tmp_path / "looks", 7, np.eye(4)[[0, 0, 1, 1, 2]])
    write_looks(tmp_path / "looks.h5", np.arange(5), tmp_path / "looks")
    write_index(tmp_path / "train.tsv", [("u", 5, "c")])
    write_table(tmp_path / "units.tsv", ("unit", "group", "images"), [("u", "", 5)])
    lines = [("u", row, label, "") for row, label in enumerate("aabb")]
    write_table(tmp_path / "labels.tsv", ("unit", "row", "label", "group"), lines)
    files = [f"--{table}={tmp_path / table}.tsv" for table in ("train", "units", "labels")]
    files += [f"--looks={tmp_path / 'looks.h5'}", f"--output={tmp_path / 'trace.csv'}"]
    subprocess.run([warm_python(), SCRIPT, '--config={"knn": [1, 100]}', *files], check=True)
    with open(tmp_path / "trace.csv") as stream:
        assert list(csv.DictReader(stream)) == [{"step": "7", "k": "1", "accuracy": "1", "n": "4"}]
