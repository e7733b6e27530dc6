"""The report of a study that compares external encoders."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file
from tests.figures import tiny

from gensis.artifacts.files import write_json
from gensis.artifacts.tables import write_table
from gensis.evaluation.comparisons import COLUMNS
from gensis.figures.embedding_costs import embedding_costs
from gensis.figures.encoder_comparison import corrected, encoder_comparison, is_evidence
from gensis.figures.job_costs import read_costs
from gensis.figures.page import page
from gensis.figures.run import Run
from gensis.images.embeddings import write_embeddings
from gensis.settings import load_study

ENCODERS = ("first", "second", "third")
P = {("second", "slides-mean"): 0.01, ("third", "slides-mean"): 0.04, ("second", "knn"): 0.02, ("third", "knn"): 0.5}
METRIC = {"slides-mean": "balanced_accuracy", "knn": "balanced_accuracy_k5"}


@pytest.fixture
def compared(tmp_path: Path) -> Run:
    folder = tmp_path / "compared"
    folder.mkdir()
    study = load_study(
        {
            "run": "compared",
            "datasets": tiny.CONFIG["datasets"],
            "encoders": {name: {"path": name} for name in ENCODERS},
            "evaluation": {"datasets": ["tissue"]},
        }
    )
    (folder / "config.yaml").write_text(yaml.safe_dump(study.resolved(), sort_keys=False))
    scores = [
        (name, "tissue", 0, task, METRIC[task], 0.6 + 0.1 * number, 0.5, 0.9, 40, 20)
        for number, name in enumerate(ENCODERS)
        for task in METRIC
    ]
    columns = ("encoder", "dataset", "seed", "task", "metric", "value", "low", "high", "n", "n_groups")
    write_table(folder / "summary.csv", columns, scores, delimiter=",")
    pairs = [
        (name, "first", "tissue", task, METRIC[task], "items", 0, 40, 0.1, 0.02, 0.2, "bootstrap", p, "sign-flip")
        for (name, task), p in P.items()
    ]
    write_table(folder / "comparisons.csv", COLUMNS, pairs, delimiter=",")
    tiny.write_images(tmp_path / "images/tissue")
    return Run(folder, tmp_path / "images")


def test_p_values_are_corrected_for_all_encoders_and_main_metrics(compared: Run) -> None:
    found = corrected(compared)
    by_hand = {0.01: 4 * 0.01, 0.02: 3 * 0.02, 0.04: 2 * 0.04, 0.5: 0.5}
    for (name, task), p in P.items():
        assert found[name, "tissue", task].corrected_p == pytest.approx(by_hand[p])
    assert [key for key, each in found.items() if is_evidence(each)] == [("second", "tissue", "slides-mean")]


def test_only_evidence_is_claimed(compared: Run) -> None:
    html = encoder_comparison(compared)
    assert html.count("There is evidence that second is better than first (+0.100, corrected p = 0.040).") == 1
    assert html.count("There is no evidence that any encoder differs from first.") == 1


def test_differences_without_a_test_are_not_called_equal(compared: Run) -> None:
    table = compared.folder / "comparisons.csv"
    rows = [line.split(",") for line in table.read_text().splitlines()]
    untested = [[*row[:12], "", ""] for row in rows[1:]]  # as of survival, which predicts no class
    write_table(table, COLUMNS, untested, delimiter=",")
    html = encoder_comparison(Run(compared.folder, compared.images_folder))
    assert html.count("Differences from first were not tested") == 2
    assert "no evidence" not in html


def test_without_intervals_the_test_alone_decides(compared: Run) -> None:
    table = compared.folder / "comparisons.csv"
    rows = [line.split(",") for line in table.read_text().splitlines()]
    write_table(table, COLUMNS, [[*row[:9], "", "", "", *row[12:]] for row in rows[1:]], delimiter=",")
    found = corrected(Run(compared.folder, compared.images_folder))
    assert [key for key, each in found.items() if is_evidence(each)] == [("second", "tissue", "slides-mean")]


def test_cost_counts_weights_dimensions_time_and_disk(compared: Run) -> None:
    folder = compared.folder / "encoders/second/seed0"
    folder.mkdir(parents=True)
    save_file({"a": np.zeros((3, 4), np.float32), "b": np.zeros(5, np.float32)}, folder / "model.safetensors")
    part = compared.folder / "embeddings/second/tissue/seed0/part-0000.h5"
    write_embeddings(
        part, [np.zeros((50, 7), np.float32)], unit=np.zeros(50, np.int32), units=["a"], keys=np.zeros((50, 2), int)
    )
    tiny.write_benchmark(compared.folder, "embed_images/second-tissue-seed0-0000", 20, 36)
    (found,) = embedding_costs(compared, read_costs(compared))
    assert (found.encoder, found.parameters, found.dimension, found.images) == ("second", 17, 7, 50)
    assert found.seconds_per_1000_images == pytest.approx(400)
    assert (found.cpu_hours, found.gpu_hours) == pytest.approx((0.01, 0))
    assert found.megabytes == part.stat().st_size / 1e6


def test_page_is_about_encoders_not_about_the_method(compared: Run) -> None:
    html = page(compared)
    assert "Which of these encoders" in html
    assert "Training curves" not in html
    assert "tissue: accuracy and cost" in html


def test_versions_are_those_that_imported_the_encoders(compared: Run):
    record = {"gensis": "9.8.7", "packages": {"torch": "1.2.3"}, "finished": "2026-01-02T03:04:05+00:00"}
    write_json(compared.folder / "encoders/second/seed0/provenance.json", record)
    assert "1.2.3" in page(compared)
