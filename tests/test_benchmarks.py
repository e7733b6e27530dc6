"""The benchmarks run and print what their README says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.drawing import drawn_slide
from tests.figures.tiny import flat, write_slide

from gensis.artifacts.tables import write_table

ROOT = Path(__file__).parents[1]


def output(script: str, *arguments: object) -> list[str]:
    """Lines that a benchmark prints."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_all_subjects_cut_the_same_tiles_and_peers_that_are_absent_are_left_out(tmp_path):
    slides = [drawn_slide(tmp_path / f"{seed}.tiff", seed=seed) for seed in range(2)]
    lines = output("tiling.py", "--slides", *slides, "--tile-px", "64", "--repeats", "2")
    subjects = [json.loads(line) for line in lines if line.startswith("{")]
    assert [subject["subject"] for subject in subjects] == ["gensis", "openslide", "openslide-pil"]
    assert len({subject["n"] for subject in subjects}) == 1
    assert subjects[0]["n"] > 8
    for subject in subjects:
        assert len(subject["rates"]) == 2
        assert subject["unit"] == "tiles/s"
        assert subject["rate"] > 0
    ratios = [line.split() for line in lines if line.startswith("ratio ")]
    assert [ratio[:3] for ratio in ratios] == [
        ["ratio", "jpeg", f"gensis/{peer}"] for peer in ("openslide", "openslide-pil")
    ]
    assert all(float(ratio[3]) > 0 for ratio in ratios)


def test_memory_is_measured_on_sparse_slides_of_which_one_has_twice_the_tissue():
    lines = output("memory.py", "--side-px", "4096", "--islands", "1", "--threads", "1")
    slides = [json.loads(line) for line in lines if line.startswith("{")]
    assert [slide["islands"] for slide in slides] == [1, 2]
    assert all(slide["outcome"] == "ok" and slide["peak_mb"] > 50 for slide in slides)
    assert slides[1]["n"] == 2 * slides[0]["n"] > 0
    ratios = [line.split()[2] for line in lines if line.startswith("ratio memory ")]
    assert ratios == [f"twice-the-tissue/{measured}" for measured in ("n", "seconds", "cpu_seconds")]


def test_neighbours_are_sought_by_all_subjects_that_are_installed():
    lines = output("evaluation.py", "--toy", "--repeats", "1")
    subjects = [json.loads(line) for line in lines if line.startswith("{")]
    assert [subject["subject"] for subject in subjects] == ["gensis", "scikit-learn"]
    assert all(subject["n"] == 200 and subject["same_neighbours"] > 0.999 for subject in subjects)
    assert [line.split()[:3] for line in lines if line.startswith("ratio ")] == [
        ["ratio", "knn", "gensis/scikit-learn"]
    ]


def test_linear_probes_tell_the_same_images_right():
    lines = output("evaluation.py", "--case", "linear", "--toy", "--repeats", "1")
    ours, theirs = (json.loads(line) for line in lines if line.startswith("{"))
    assert (ours["subject"], theirs["subject"]) == ("gensis", "scikit-learn")
    assert ours["n"] == theirs["n"] == 1000
    assert theirs["same_predictions"] > 0.8
    assert ours["accuracy"] > 0.3


@pytest.mark.parametrize("slides_are_units", [True, False])
def test_the_floor_of_a_data_set_is_measured_as_an_encoder_is(tmp_path, slides_are_units):
    """Twelve slides of two colours: colour alone tells them all."""
    folder, units = tmp_path / "images", [f"s{number}" for number in range(12)]
    for number, unit in enumerate(units):
        tiles = [flat((200 - 10 * tile, 0, 0) if number % 2 else (0, 0, 200 - 10 * tile), 48) for tile in range(4)]
        write_slide(folder / f"{unit}.h5", [(0, 512 * tile) for tile in range(4)], tiles)
    columns = ("unit", "group", "split", "outcome", "images")
    write_table(folder / "units.tsv", columns, [(unit, "", "", "ok", 4) for unit in units])
    labels = [(unit, "", ["blue", "red"][number % 2], "") for number, unit in enumerate(units)]
    write_table(folder / "labels.tsv", ("unit", "row", "label", "group"), labels)
    options = ["--slides-are-units"] if slides_are_units else []
    lines = output("floor.py", "--images", folder, "--output", tmp_path / "floor", "--threads", 1, *options)
    found = {(line["task"], line["metric"]): line for line in map(json.loads, lines)}
    tasks = {"knn", "linear"} | ({"slides-mean", "slides-abmil"} if slides_are_units else set())
    assert {task for task, _ in found} == tasks
    for task, metric in [("knn", "balanced_accuracy_k5"), ("linear", "balanced_accuracy")]:
        assert found[task, metric]["value"] == 1
        assert found[task, metric]["chance"] == 0.5


def test_a_bank_is_painted_by_both_subjects():
    lines = output("bank.py", "--toy", "--repeats", "1")
    subjects = [json.loads(line) for line in lines if line.startswith("{")]
    assert [subject["subject"] for subject in subjects] == ["gensis", "diffusers"]
    assert len({subject["n"] for subject in subjects}) == 1
    assert [line.split()[:3] for line in lines if line.startswith("ratio ")] == [
        ["ratio", "bank-small-32", "gensis/diffusers"]
    ]


def test_intervals_of_few_groups_hold_the_truth_more_often_than_plain_percentiles():
    told = ["--case", "accuracy", "uneven-groups", "--groups", 5, "--repeats", 60, "--resamples", 400]
    found = [json.loads(line) for line in output("coverage.py", *told)]
    assert [each["case"] for each in found] == ["accuracy", "uneven-groups"]
    assert {(each["groups"], each["n"]) for each in found} == {(5, 60)}
    plain, ours = (np.mean([each[f"{kind}_coverage"] for each in found]) for kind in ("plain", "gensis"))
    assert 0.7 < plain < ours < 1
    assert all(each["plain_width"] < each["gensis_width"] < 1 for each in found)
