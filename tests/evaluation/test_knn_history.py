import csv
import subprocess
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from tests.warm_python import warm_python

from gensis.artifacts.tables import write_table
from gensis.evaluation.knn_history import knn_history, labels_and_groups, usable
from gensis.images.index import write_index
from gensis.images.snapshots import add_snapshot, read_snapshots, write_snapshots

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/track_knn.py"
TEMPERATURE = 0.07


def unit_vectors(*shape):
    vectors = np.random.default_rng(0).normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_the_nearest_images_of_other_groups_vote_on_each_image():
    snapshots, labels, groups = unit_vectors(2, 40, 5), np.arange(40) % 3, np.arange(40) // 4
    for features, found in zip(
        snapshots, knn_history(snapshots, labels, groups=groups, ks=[1, 7], temperature=TEMPERATURE)
    ):
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


def test_labels_and_groups_of_images_take_precedence_over_those_of_slides():
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


def test_ks_above_the_available_neighbours_and_single_classes_are_left_out():
    groups = np.array([0, 0, 0, 1, 2])
    assert usable([1, 2, 3], np.array([0, 1, 0, 1, 0]), groups) == [1, 2]
    assert usable([1], np.zeros(5, int), groups) == []
    assert usable([1], np.zeros(0, int), np.zeros(0, int)) == []


def test_snapshots_are_stored_singly_and_read_in_the_order_of_steps(tmp_path):
    snapshots = unit_vectors(2, 6, 4)
    add_snapshot(tmp_path / "snapshots", 20, snapshots[0])
    add_snapshot(tmp_path / "snapshots", 20, snapshots[1])  # a step that was repeated after a crash
    add_snapshot(tmp_path / "snapshots", 5, snapshots[0])
    write_snapshots(tmp_path / "snapshots.h5", np.arange(6), tmp_path / "snapshots")
    found = read_snapshots(tmp_path / "snapshots.h5")
    assert found.steps.tolist() == [5, 20]
    assert found.features == pytest.approx(snapshots, abs=1e-3)


def test_script_writes_a_line_for_each_snapshot_and_k(tmp_path):
    add_snapshot(tmp_path / "snapshots", 7, np.eye(4)[[0, 0, 1, 1, 2]])
    write_snapshots(tmp_path / "snapshots.h5", np.arange(5), tmp_path / "snapshots")
    write_index(tmp_path / "train.tsv", [("u", 5, "c")])
    write_table(tmp_path / "units.tsv", ("unit", "group", "images"), [("u", "", 5)])
    lines = [("u", row, label, "") for row, label in enumerate("aabb")]
    write_table(tmp_path / "labels.tsv", ("unit", "row", "label", "group"), lines)
    files = [f"--{table}={tmp_path / table}.tsv" for table in ("train", "units", "labels")]
    files += [f"--snapshots={tmp_path / 'snapshots.h5'}", f"--output={tmp_path / 'knn_history.csv'}"]
    subprocess.run([warm_python(), SCRIPT, '--config={"knn": [1, 100]}', *files], check=True)
    with open(tmp_path / "knn_history.csv") as stream:
        assert list(csv.DictReader(stream)) == [{"step": "7", "k": "1", "accuracy": "1", "n": "4"}]
