"""Every case of every benchmark runs at toy size and prints the output that the README describes."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.drawing import drawn_slide
from tests.figures.tiny import flat, write_slide
from tests.warm_python import warm_python

from gensis.artifacts.tables import write_table
from gensis.images.codec import encode_jpeg

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MAY_LACK = {"kornia", "lightly", "faiss", "hs2p", "hs2p-tifffile", "tiatoolbox"}
"""Subjects that need environments of their own."""


def cases(script: str, name: str = "CASES") -> list[str]:
    """Keys of a dictionary that a benchmark defines."""
    for node in ast.parse((BENCHMARKS / script).read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if [getattr(target, "id", None) for target in targets] == [name]:
            return [ast.literal_eval(key) for key in node.value.keys]
    raise KeyError(name)


@pytest.fixture(scope="module")
def python():
    return warm_python()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of data for GENSIS_DATA: a few images of each data set, and one slide of each kind."""
    folder, generator = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for name, side_px, count in (("cifar10", 32, 64), ("imagenette96", 96, 32)):
        path = folder / "natural" / name / f"{name}_jpeg.h5"
        path.parent.mkdir(parents=True)
        with h5py.File(path, "w") as file:
            file.attrs["classes"] = ["dark", "light"]
            for split in ("train", "test"):
                labels = np.arange(count) % 2
                images = generator.integers(0, 128, (count, side_px, side_px, 3), np.uint8)
                encoded = [encode_jpeg(image + np.uint8(127 * label), 90) for image, label in zip(images, labels)]
                file[f"{split}/jpeg"] = np.frombuffer(b"".join(encoded), np.uint8)
                file[f"{split}/offsets"] = np.cumsum([0, *map(len, encoded)])
                file[f"{split}/labels"] = labels
    slides = [folder / "histology" / name for name in ("lymphoma/drawn.tiff", "aperio/tcga-drawn.svs")]
    for path in slides:
        path.parent.mkdir(parents=True)
    shutil.copy(drawn_slide(slides[0], width_px=1280, height_px=1280), slides[1])
    return folder


def on_one_core(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess:
    """Run a command on one core: its processes wait for each other, and threads that spin would slow them down."""
    cores = {min(os.sched_getaffinity(0))}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, preexec_fn=lambda: os.sched_setaffinity(0, cores)
    )


@pytest.fixture(scope="module")
def output(python, data):
    """Run a benchmark and return its lines; only subjects that need another environment may be left out."""

    def run(script: str, *arguments: object, **environment: str) -> list[str]:
        command = [python, BENCHMARKS / script, *arguments]
        variables = os.environ | {"GENSIS_DATA": str(data)} | environment
        done = on_one_core([str(word) for word in command], variables)
        assert done.returncode == 0, done.stderr
        left_out = re.findall(r"^(\S+) is left out: (.*)$", done.stderr, re.MULTILINE)
        reasons = ("ModuleNotFoundError", "pass an environment")
        assert not [line for line in left_out if line[0] not in MAY_LACK or not line[1].startswith(reasons)]
        return done.stdout.splitlines()

    return run


@pytest.fixture(scope="module")
def trained(python, data, tmp_path_factory):
    """Output of the parts of `gpu.sh` that train, and a folder that links it like the results of a run."""
    out, work = tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("work")
    variables = {"SIZE": "toy", "PYTHON": str(python), "WORK": str(work), "GENSIS_DATA": str(data)}
    parts = ("environment", "checks", "cifar", "diffusion")
    done = on_one_core(["bash", str(BENCHMARKS / "gpu.sh"), str(out), *parts], os.environ | variables)
    assert done.returncode == 0, done.stdout + done.stderr
    run = work / "results/run"
    for link, made in {
        "embeddings/dino/cifar10/seed0/part-0000.h5": "cifar/train.h5",
        "encoders/dino/seed0": "cifar/encoder",
        "encoders/dino/seed1": "cifar/encoder",
        "diffusion/dino/seed0": "cifar/diffusion",
        "../images/cifar10": "images",
    }.items():
        path = Path(os.path.normpath(run / link))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(work / made)
    return out, run


def subjects(lines: list[str]) -> list[dict]:
    return [json.loads(line) for line in lines if line.startswith("{")]


def ratios(lines: list[str]) -> list[list[str]]:
    return [line.split()[:3] for line in lines if line.startswith("ratio ")]


@pytest.mark.parametrize("case", cases("pretrain.py"))
def test_every_case_of_pretraining_runs(output, case):
    lines = output("pretrain.py", "--case", case, "--toy", "--repeats", "1")
    names = [subject["subject"] for subject in subjects(lines)]
    assert names[0] == "gensis"
    assert all(subject["rate"] > 0 and subject["n"] > 0 for subject in subjects(lines))
    assert ratios(lines) == [["ratio", case, f"gensis/{peer}"] for peer in names[1:]]


def test_missing_data_are_replaced_by_drawn_tissue(output, tmp_path):
    lines = output("pretrain.py", "--case", "views-32", "--toy", "--repeats", "1", "--alone", GENSIS_DATA=str(tmp_path))
    assert subjects(lines)[0]["n"] >= 32


@pytest.mark.parametrize("variant", ["--tensors", "--precision=bfloat16"])
def test_training_steps_are_timed_in_every_variant(output, variant):
    line = subjects(output("pretrain.py", "--case", "step-paper", "--toy", "--repeats", "1", "--alone", variant))[0]
    assert (line["tensors"], line["precision"] == "bfloat16") == (variant == "--tensors", variant != "--tensors")


@pytest.mark.parametrize("case", cases("bank.py"))
def test_every_bank_case_runs_with_both_subjects(output, case):
    lines = output("bank.py", "--case", case, "--toy", "--repeats", "1")
    assert [(subject["subject"], subject["n"]) for subject in subjects(lines)] == [("gensis", 8), ("diffusers", 8)]
    assert ratios(lines) == [["ratio", case, "gensis/diffusers"]]


@pytest.mark.parametrize("case", cases("tiling.py"))
def test_all_subjects_extract_the_same_tiles_in_every_tiling_case(output, case):
    lines = output("tiling.py", "--case", case, "--tile-px", "128", "--repeats", "2")
    assert [subject["subject"] for subject in subjects(lines)] == ["gensis", "openslide", "openslide-pil"]
    assert len({subject["n"] for subject in subjects(lines)}) == 1
    assert subjects(lines)[0]["n"] > 8
    for subject in subjects(lines):
        assert len(subject["rates"]) == 2
        assert subject["unit"] == "tiles/s"
        assert subject["rate"] > 0
    assert ratios(lines) == [["ratio", case, f"gensis/{peer}"] for peer in ("openslide", "openslide-pil")]


COMPARED = {
    "knn": lambda ours, theirs: ours["n"] == 200 and theirs["same_neighbours"] > 0.999,
    "linear": lambda ours, theirs: ours["n"] == 1000 and theirs["same_predictions"] > 0.8 and ours["accuracy"] > 0.3,
}


@pytest.mark.parametrize("case", cases("evaluation.py"))
def test_evaluation_cases_agree_with_the_installed_subjects(output, case):
    lines = output("evaluation.py", "--case", case, "--toy", "--repeats", "1")
    ours, theirs = subjects(lines)
    assert (ours["subject"], theirs["subject"]) == ("gensis", "scikit-learn")
    assert ours["n"] == theirs["n"]
    assert COMPARED[case](ours, theirs)
    assert ratios(lines) == [["ratio", case, "gensis/scikit-learn"]]


def test_memory_compares_sparse_slides_with_once_and_twice_the_tissue():
    command = [sys.executable, str(BENCHMARKS / "memory.py"), "--side-px", "4096", "--islands", "1", "--threads", "1"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    slides = subjects(lines)
    assert [slide["islands"] for slide in slides] == [1, 2]
    assert all(slide["outcome"] == "ok" and slide["peak_mb"] > 50 for slide in slides)
    assert slides[1]["n"] == 2 * slides[0]["n"] > 0
    measured = ("n", "seconds", "cpu_seconds")
    assert ratios(lines) == [["ratio", "memory", f"twice-the-tissue/{name}"] for name in measured]


@pytest.mark.parametrize("slides_are_units", [True, False])
def test_hand_crafted_features_are_evaluated_like_an_encoder(output, tmp_path, slides_are_units):
    """Twelve slides of two colours, which the colour features classify without error."""
    folder, units = tmp_path / "images", [f"s{number}" for number in range(12)]
    for number, unit in enumerate(units):
        tiles = [flat((200 - 10 * tile, 0, 0) if number % 2 else (0, 0, 200 - 10 * tile), 48) for tile in range(4)]
        write_slide(folder / f"{unit}.h5", [(0, 512 * tile) for tile in range(4)], tiles)
    columns = ("unit", "group", "split", "outcome", "images", "content")
    write_table(folder / "units.tsv", columns, [(unit, "", "", "ok", 4, unit) for unit in units])
    labels = [(unit, "", ["blue", "red"][number % 2], "") for number, unit in enumerate(units)]
    write_table(folder / "labels.tsv", ("unit", "row", "label", "group"), labels)
    options = ["--slides-are-units"] if slides_are_units else []
    lines = output("floor.py", "--images", folder, "--output", tmp_path / "floor", "--threads", 1, *options)
    metrics = {(line["task"], line["metric"]): line for line in map(json.loads, lines)}
    tasks = {"knn", "linear"} | ({"slides-mean", "slides-abmil"} if slides_are_units else set())
    assert {task for task, _ in metrics} == tasks
    for task, metric in [("knn", "balanced_accuracy_k5"), ("linear", "balanced_accuracy")]:
        assert metrics[task, metric]["value"] == 1
        assert metrics[task, metric]["chance"] == 0.5


def test_intervals_of_few_groups_have_better_coverage_than_plain_percentiles(output):
    options = ["--case", "accuracy", "uneven-groups", "--groups", 5, "--repeats", 60, "--resamples", 400]
    results = [json.loads(line) for line in output("coverage.py", *options)]
    assert [result["case"] for result in results] == ["accuracy", "uneven-groups"]
    assert {(result["groups"], result["n"]) for result in results} == {(5, 60)}
    plain, ours = (np.mean([result[f"{kind}_coverage"] for result in results]) for kind in ("plain", "gensis"))
    assert 0.7 < plain < ours < 1
    assert all(result["plain_width"] < result["gensis_width"] < 1 for result in results)


def test_gpu_parts_train_generate_and_evaluate_at_toy_size(trained):
    out, _ = trained
    checks = subjects((out / "checks.jsonl").read_text().splitlines())
    assert checks
    assert all(check["ok"] for check in checks)
    assert "skipped" in json.loads((out / "evaluation-k200/knn.json").read_text())  # there are 64 images
    metrics = json.loads((out / "evaluation-k20/knn.json").read_text())["metrics"]
    assert "accuracy_k20" in [metric["metric"] for metric in metrics]
    quality = json.loads((out / "quality.json").read_text())
    assert {"fidelity", "fidelity_held_out"} <= {figure["figure"] for figure in quality["figures"]}


def test_every_evaluation_is_timed_at_a_fraction_of_the_size_of_imagenet(output):
    results = [json.loads(line) for line in output("evaluation_size.py", "--shrink", 100, "--threads", 1)]
    assert [result["case"] for result in results] == ["knn", "linear", "metrics"]
    assert all(result["train"] >= 400 and result["seconds"] > 0 for result in results)


EVALUATE = ("--encoder", "dino", "--dataset", "cifar10", "--sources", 8, "--steps", 1, "--toy")


def test_every_candidate_diffusion_model_is_trained_and_evaluated(output, trained, tmp_path):
    _, run = trained
    options = ("--run", run, *EVALUATE, "--image-px", 32, "--minutes", 0.0001, "--output", tmp_path)
    evaluated = [row["subject"] for row in subjects(output("diffusion.py", *options))]
    assert list(dict.fromkeys(evaluated)) == cases("diffusion.py", "CANDIDATES")
    assert {path.name for path in tmp_path.iterdir()} >= {
        "evaluations.csv",
        "class_consistency.png",
        f"{evaluated[0]}.png",
    }


def test_every_sampler_generates_images_of_the_sources(output, trained, tmp_path):
    _, run = trained
    real, *generated = subjects(output("sampling.py", "--run", run, *EVALUATE, "--output", tmp_path))
    assert real["frechet_of_sources"] > 0
    assert {line["sampler"] for line in generated} == {"auto", "dpm++", "heun"}
    assert len(generated) == 15
    assert (tmp_path / "sampling.png").exists()


RUN_ABOVE = {
    "bank.py",
    "coverage.py",
    "evaluation.py",
    "evaluation_size.py",
    "floor.py",
    "gpu.sh",
    "gpu_checks.py",
    "memory.py",
    "diffusion.py",
    "pretrain.py",
    "sampling.py",
    "tiling.py",
}
SHARED = {"images.py", "side_by_side.py"}
"""Modules that benchmarks import."""


def test_every_benchmark_is_tested():
    assert {path.name for path in BENCHMARKS.glob("*.*") if path.suffix in (".py", ".sh")} == RUN_ABOVE | SHARED
