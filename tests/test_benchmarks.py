"""Every case of every benchmark runs at toy size and prints the output that the README describes."""

import ast
import csv
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
import torch
from tests.drawing import drawn_slide
from tests.figures.tiny import flat, write_slide
from tests.warm_python import PLANNING, warm_python
from tests.workflow.clone import TINY, write_config

from gensis.artifacts.files import content_id, read_json
from gensis.artifacts.tables import write_table
from gensis.images.codec import decode_into, encode_jpeg, encode_png
from gensis.images.index import write_index
from gensis.images.sources import open_source
from gensis.images.store import Store, write_store
from gensis.settings.datasets import Hdf5Dataset

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


def gpu_parts(out: Path, work: Path, data: Path, python: Path, *parts: str, **environment: str) -> None:
    """Run parts of `gpu.sh` at toy size."""
    variables = {"SIZE": "toy", "PYTHON": str(python), "WORK": str(work), "GENSIS_DATA": str(data)}
    done = on_one_core(["bash", str(BENCHMARKS / "gpu.sh"), str(out), *parts], os.environ | variables | environment)
    assert done.returncode == 0, done.stdout + done.stderr + (out / "log.txt").read_text()[-2000:]


def figures(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "figures.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(python, data, tmp_path_factory):
    """Output of the parts of `gpu.sh` that train, and a folder that links it like the results of a run."""
    out, work = tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("work")
    gpu_parts(out, work, data, python, "environment", "checks", "cifar", "diffusion")
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


def test_training_steps_are_also_timed_in_bfloat16_and_without_data_and_views(output):
    options = ("--toy", "--repeats", "1", "--alone", "--tensors", "--precision", "bfloat16")
    lines = subjects(output("pretrain.py", "--case", "step-small-16", *options))
    assert [line["subject"] for line in lines] == ["gensis", "gensis-tensors"]
    assert {line["precision"] for line in lines} == {"bfloat16"}


INTERRUPTED = """
import signal
from side_by_side import take_turns
class Interrupted:  # a subject whose third repeat gets the signal of a time limit
    repeats = 0
    def repeat(self):
        self.repeats += 1
        if self.repeats == 3:
            signal.raise_signal(signal.SIGTERM)
        return {"n": self.repeats}
    def close(self):
        print("closed")
print([one["gensis"]["n"] for one in take_turns({"gensis": Interrupted()}, 5)])
"""


def test_repeats_that_ended_before_a_time_limit_count():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], cwd=BENCHMARKS, capture_output=True, text=True)
    assert done.stdout == "closed\n[1, 2]\n", done.stderr


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


@pytest.mark.parametrize("bank", ["same-class", "none"])
def test_a_ceiling_is_trained_with_other_images_of_the_same_class(output, tmp_path, bank):
    """Two classes of noise, dark and light."""
    images, folder = tmp_path / "images/drawn", tmp_path / "ceiling"
    generator, classes = np.random.default_rng(0), np.arange(16) % 2
    rows = []
    for split in ("train", "test"):
        pixels = generator.integers(0, 128, (16, 16, 16, 3)) + 127 * classes[:, None, None, None]
        unit, keys = f"{split}-0000", np.array([f"{split}-{number}" for number in range(16)], object)
        encoded = map(encode_png, pixels.astype(np.uint8))
        written = write_store(images / f"{unit}.h5", encoded, {}, columns=lambda keys=keys: {"key": keys})
        rows.append((unit, "", split, "ok", *written))
    write_table(images / "units.tsv", ("unit", "group", "split", "outcome", "images", "content"), rows)
    write_index(images / "train.tsv", [(rows[0][0], *rows[0][4:])])
    labels = [(unit, row, ["dark", "light"][row % 2], "") for unit, *_ in rows for row in range(16)]
    write_table(images / "labels.tsv", ("unit", "row", "label", "group"), labels)
    config = write_config(
        tmp_path / "config.yaml",
        {
            "run": "tiny",
            "datasets": {"drawn": {"kind": "folder", "path": "drawn"}},
            "pretraining": TINY["pretraining"] | {"dataset": "drawn", "image_px": 16},
            "evaluation": {"datasets": ["drawn"], "knn": [3]},
        },
    )
    options = ["--images", images.parent, "--output", folder, "--variants", 3, "--threads", 1]
    lines = output("ceiling.py", "--config", config, "--bank", bank, "--arm", '{"epochs": 1}', *options)
    metrics = {(line["task"], line["metric"]): line["chance"] for line in map(json.loads, lines)}
    assert metrics["knn", "balanced_accuracy_k3"] == metrics["linear", "balanced_accuracy"] == 0.5
    assert (folder / "bank").exists() == (bank == "same-class")
    if bank == "same-class":
        with Store(folder / "bank/generative-0000.h5") as store, Store(images / "train-0000.h5") as own:
            sources, originals = store.column("source"), own.read(0, 16)
            shown = [originals.index(image) for image in store.read(0, len(store))]
        assert sources.tolist() == np.repeat(np.arange(16), 3).tolist()
        assert all(image % 2 == source % 2 and image != source for image, source in zip(shown, sources))
        assert len(set(zip(sources.tolist(), shown))) == len(shown)
        with pytest.raises(AssertionError, match="holds other images: choose another --output"):
            output("ceiling.py", "--config", config, "--bank", "sources", "--arm", '{"epochs": 1}', *options)
        write_table(images / "labels.tsv", ("unit", "row", "label", "group"), labels[1:])
        with pytest.raises(AssertionError, match="1 of 16 images have no label of their own"):
            output("ceiling.py", "--config", config, "--arm", '{"epochs": 1}', *options)
    else:
        options[3], encoder = tmp_path / "continued", folder / "encoder"
        output("ceiling.py", "--config", config, "--bank", bank, "--arm", '{"epochs": 1}', "--init", encoder, *options)
        inputs = read_json(tmp_path / "continued/encoder/provenance.json")["inputs"]
        assert inputs["init"] == content_id(encoder / "model.safetensors")


def test_arms_of_several_runs_are_compared_seed_by_seed(output, tmp_path):
    study = {
        "datasets": {"drawn": {"kind": "folder", "path": "$NOT_SET/drawn"}},
        "pretraining": {"dataset": "drawn"},
        "banks": {"default": {}},
        "retraining": {"gen-dino": {"bank": "default"}},
    }
    runs = [tmp_path / f"run-{seed}" for seed in range(7)]
    for seed, run in enumerate(runs):
        run.mkdir()
        write_config(run / "config.yaml", study | {"run": run.name, "seeds": [seed]})
        values = {"dino": 0.5, "gen-dino": 0.6 + 0.01 * seed, "random": 0.2}
        rows = [(name, "drawn", seed, "knn", "balanced_accuracy_k20", value) for name, value in values.items()]
        columns = ("encoder", "dataset", "seed", "task", "metric", "value")
        write_table(run / "summary.csv", columns, rows[: 2 if seed == 6 else 3], delimiter=",")
    ceiling = {"task": "knn", "metric": "balanced_accuracy_k20", "dataset": "drawn", "value": 0.9}
    (runs[1] / "oracle.jsonl").write_text(json.dumps(ceiling) + "\n")
    found = output("compare_runs.py", *runs, "--picture", tmp_path / "runs.png")
    lines = [line.strip("| ").split(" | ") for line in found]
    header, (dino, ours, random, oracle) = lines[0], (dict(zip(lines[0], line)) for line in lines[2:])
    assert header[-4:] == ["mean", "gen-dino minus it", "95 % interval", "p"]
    assert (dino["seed 3"], dino["mean"], dino["gen-dino minus it"]) == ("0.500", "0.500", "+0.130")
    assert dino["p"] == f"{2 / 2**7:.3f}"  # all seven differences are positive
    assert (ours["seed 6"], ours["mean"]) == ("0.660", "0.630")
    assert (random["seed 6"], random["gen-dino minus it"], random["p"]) == ("", "+0.425", f"{2 / 2**6:.3f}")
    assert (oracle["encoder"], oracle["seed 1"], oracle["gen-dino minus it"]) == ("oracle", "0.900", "-0.290")
    assert (tmp_path / "runs.png").stat().st_size
    elsewhere = (runs[5] / "summary.csv").read_text().replace("drawn", "selection")
    (runs[5] / "summary.csv").write_text(elsewhere)
    with pytest.raises(AssertionError, match=r"different data sets \(drawn in .*run-0, selection in .*run-5\)"):
        output("compare_runs.py", *runs)
    rows = (runs[0] / "summary.csv").read_text() + (runs[1] / "summary.csv").read_text().partition("\n")[2]
    (runs[1] / "summary.csv").write_text(rows)  # one oracle of two seeds
    with pytest.raises(AssertionError, match="belongs to one seed"):
        output("compare_runs.py", runs[1])
    summary = (runs[4] / "summary.csv").read_text()
    (runs[4] / "summary.csv").write_text(re.sub(r"(gen-dino,.*,)[\d.]+\n", r"\1\n", summary))
    (runs[2] / "oracle.jsonl").write_text("{cut")
    for arguments, mistake in {
        (tmp_path / "absent",): "has no config.yaml: name folders of finished runs",
        (runs[2],): "is not the output of ceiling.py",
        (runs[4],): "no run has balanced_accuracy_k20 of knn of an arm with a bank",
        (runs[3], "--picture", tmp_path / "runs.doc"): "runs.doc cannot be written",
    }.items():
        with pytest.raises(AssertionError, match=mistake) as raised:
            output("compare_runs.py", *arguments)
        assert "Traceback" not in str(raised.value)


def test_packed_files_are_read_in_the_order_of_their_paths_with_their_classes(output, tmp_path):
    paths = [f"{split}/{name}/{n}.jpg" for split in ("train", "test") for name in ("cat", "dog") for n in (0, 1)]
    for number, path in enumerate(reversed(paths)):
        (tmp_path / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / path).write_bytes(encode_jpeg(np.full((8, 8, 3), 20 * number, np.uint8), 90))
    lines = output("pack_images.py", tmp_path / "tree", tmp_path / "packed.h5")
    assert [line.split(" images, ")[0] for line in lines] == ["train: 4", "test: 4"]
    settings = Hdf5Dataset(kind="hdf5", path=str(tmp_path / "packed.h5"))
    source = open_source(settings, "test", ())
    assert list(source.keys) == paths[4:]
    assert list(source.labels) == ["cat", "cat", "dog", "dog"]
    assert [source.read(n) for n in range(4)] == [(tmp_path / "tree" / path).read_bytes() for path in paths[4:]]


def test_packed_files_can_be_downscaled(output, tmp_path):
    for split in ("train", "val"):
        (tmp_path / split / "cat").mkdir(parents=True)
        (tmp_path / split / "cat" / "0.JPEG").write_bytes(encode_jpeg(np.full((40, 40, 3), 90, np.uint8), 90))
    options = ["--splits", "train", "val", "--side-px", 16]
    output("pack_images.py", tmp_path, tmp_path / "packed.h5", *options)
    source = open_source(Hdf5Dataset(kind="hdf5", path=str(tmp_path / "packed.h5"), splits={"test": "val"}), "test", ())
    image = np.zeros((16, 16, 3), np.uint8)
    decode_into(source.read(0), image)  # raises if the image has another size
    assert abs(int(image.mean()) - 90) <= 2
    (tmp_path / "val" / "cat" / "0.JPEG").write_bytes(b"not an image")
    with pytest.raises(AssertionError, match=r"0\.JPEG cannot be read .*: download it again") as raised:
        output("pack_images.py", tmp_path, tmp_path / "packed.h5", *options)
    assert "Traceback" not in str(raised.value)
    assert (tmp_path / "packed.h5").exists()


def test_intervals_of_few_groups_have_better_coverage_than_plain_percentiles(output):
    options = ["--groups", 5, "--repeats", 60, "--resamples", 400]
    results = [json.loads(line) for line in output("coverage.py", *options)]
    assert [result["case"] for result in results] == cases("coverage.py")
    assert {(result["groups"], result["n"]) for result in results} == {(5, 60)}
    plain, ours = (np.mean([result[f"{kind}_coverage"] for result in results]) for kind in ("plain", "gensis"))
    assert 0.7 < plain < ours < 1
    assert all(result["plain_width"] < result["gensis_width"] < 1 for result in results)


def test_gpu_parts_train_generate_and_evaluate_at_toy_size(trained):
    out, _ = trained
    environment, *checks = figures(out)
    assert environment["part"] == "environment"
    assert environment["torch"] == torch.__version__
    assert len(checks) == 10
    assert all(check["ok"] for check in checks)
    assert "skipped" in json.loads((out / "cifar-knn-k200.json").read_text())  # there are 64 images
    metrics = json.loads((out / "cifar-knn-k20.json").read_text())["metrics"]
    assert "accuracy_k20" in [metric["metric"] for metric in metrics]
    quality = json.loads((out / "quality.json").read_text())
    assert {"fidelity", "fidelity_held_out"} <= {figure["figure"] for figure in quality["figures"]}


def ended(out: Path) -> dict[str, str]:
    """How each part of `gpu.sh` ended."""
    _, *lines = (out / "parts.tsv").read_text().splitlines()
    return dict(line.split("\t")[:2] for line in lines)


def run_parts(name: str, out: Path, seconds: int, **environment: object) -> subprocess.CompletedProcess:
    """Run the parts of `first` or `second` within some seconds."""
    variables = {"WORK": out / "work", "CARRIED": out / "carried"} | environment
    command = ["bash", BENCHMARKS / "gpu.sh", out, name, seconds]
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, env=environment)


@pytest.mark.parametrize(("name", "parts"), [("first", 13), ("second", 3)])
def test_without_time_every_gpu_part_is_reported_as_not_run(tmp_path, name, parts):
    run_parts(name, tmp_path, 0)
    assert len(ended(tmp_path)) == parts
    assert set(ended(tmp_path).values()) == {"not run"}
    assert (tmp_path / "figures.jsonl").read_text() == ""


PROGRAM = """#!/bin/sh
echo '{"figure": 1}'
case "$*" in
*step-small-16*--compile*) exit 1 ;;
*step-small-16*) trap 'echo "{\\"figure\\": 2}"; exit' TERM; tail -f /dev/null & wait ;;
esac
"""


def test_a_gpu_part_that_fails_or_is_cut_off_costs_neither_its_figures_nor_those_of_other_parts(tmp_path):
    program = tmp_path / "python"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    run_parts("first", tmp_path, 54, PYTHON=program)
    others = set(ended(tmp_path)) - {"small", "compiled_small"}
    assert ended(tmp_path) == dict.fromkeys(others, "done") | {"small": "cut off", "compiled_small": "failed"}
    made = [(line["part"], line["figure"]) for line in figures(tmp_path)]
    assert sorted(made) == sorted([*((part, 1) for part in ended(tmp_path)), ("small", 2)])


def toy_study(path: Path) -> Path:
    """A config of the whole method on the images of `data`."""
    dataset = {"kind": "hdf5", "path": "$GENSIS_DATA/natural/cifar10/cifar10_jpeg.h5"}
    study = TINY | {"datasets": {"cifar10": dataset}, "seeds": [0, 1]}
    study["pretraining"] = TINY["pretraining"] | {"dataset": "cifar10", "epochs": 1}
    study["banks"] = {"default": {"sampling_steps": 1, "seed": 0}}
    study["evaluation"] = {"datasets": ["cifar10"], "knn": [3], "bootstrap": 50}
    return write_config(path, study)


def prepared(python, data, tmp_path, study):
    """Folder of the output of the part `study`, from plans of a study."""
    carried, demo, out = tmp_path / "carried", toy_study(tmp_path / "demo.yaml"), tmp_path / "out"
    out.mkdir()
    variables = {"CARRIED": carried, "STUDY": study, "DEMO": demo, "GENSIS_DATA": data, "GPUS": 0, "WHEELS": "no"}
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    done = subprocess.run(
        ["bash", str(BENCHMARKS / "gpu_prepare.sh")],
        capture_output=True,
        text=True,
        env=environment | {"PYTHON": str(warm_python(PLANNING))},
    )
    assert done.returncode == 0, done.stderr
    gpu_parts(out, tmp_path / "work", carried / "data", python, "study", CARRIED=str(carried))
    return out


@pytest.mark.slow
def test_a_prepared_study_runs_seed_after_seed_in_one_process_and_is_verified(python, data, tmp_path):
    out = prepared(python, data, tmp_path, toy_study(tmp_path / "toy.yaml"))
    plans = [line for line in figures(out) if "jobs" in line]
    assert [(line["plan"], line["verified"]) for line in plans] == [("study/01", True), ("study/02", True)]
    trained = [line["plan"] for line in figures(out) if line.get("job") == "train_diffusion"]
    assert trained == ["study/01"]  # both seeds use the same bank
    with open(out / "study-summary.csv") as stream:
        assert {"0", "1"} <= {row["seed"] for row in csv.DictReader(stream) if row["encoder"] == "gen-dino"}


@pytest.mark.slow
def test_a_prepared_study_has_a_run_for_each_file_of_a_seed(python, data, tmp_path):
    study, files = toy_study(tmp_path / "toy.yaml"), tmp_path / "toy"
    files.mkdir()
    for seed in (3, 4):
        one = {"run": f"toy-{seed}", "seeds": [seed], "retraining": {}, "banks": {"default": {"seed": None}}}
        write_config(files / f"seed{seed}.yaml", one)
    out = prepared(python, data, tmp_path, study)
    assert [line["plan"] for line in figures(out) if "jobs" in line] == ["study/01", "study/02"]
    with open(out / "study-summary.csv") as stream:
        assert {row["seed"] for row in csv.DictReader(stream) if row["encoder"] == "dino"} == {"3", "4"}


def test_the_page_of_results_gets_figures_targets_and_reasons(output, tmp_path):
    lines = [
        {"part": "paper", "subject": "gensis", "rates": [900, 1000, 1100], "batch": 128},
        {"part": "paper", "subject": "gensis-tensors", "rates": [1000, 1000, 1000], "batch": 128},
        {"part": "paper", "subject": "original", "rates": [300, 250, 220], "batch": 128},
        {"part": "small", "subject": "gensis", "rates": [64_000], "batch": 128},
    ]
    (tmp_path / "figures.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "parts.tsv").write_text("part\tended\npaper\tdone\nsmall\tcut off\nbank\tnot run\n")
    (tmp_path / "log.txt").write_text("== cifar\n21:00:00 step 100 of 200: loss 5\n")
    page = shutil.copy(BENCHMARKS.parent / "docs/results.md", tmp_path / "page.md")
    output("gpu_report.py", tmp_path, "--page", page)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.read_text().splitlines() if "|" in line]
    found = {(name, target): measured for name, target, measured in (row for row in rows if len(row) == 3)}
    vit, small = "ViT-S/16, 2 x 224 + 8 x 96 px", "SimCLR, ResNet-18 with 16 to 128 channels, 16 px, batch 128"
    assert found[f"{vit}, eager", ""] == "1,000 images/s [900, 1,100]"
    assert found[f"{vit}: beside the original's loop, 16 workers", ">= 2 x"] == "4.00 x 250 images/s"
    assert found[f"{vit}: data, views, transfer in a step", "<= 15 %"] == "0%"
    assert found[small, ">= 400 steps/s"] == "500 steps/s [500, 500] (cut off)"
    assert found["Bank, 32 px: beside a plain loop with diffusers", ">= 2 x"] == "not measured (not run)"
    assert found["CIFAR-10, ResNet-18", ""] == "step 100 of 200"
    output("gpu_report.py", "--page", page)
    assert "1,000 images/s [900" not in page.read_text()


def test_every_evaluation_is_timed_at_a_fraction_of_the_size_of_imagenet(output):
    results = [json.loads(line) for line in output("evaluation_size.py", "--shrink", 100, "--threads", 1)]
    assert [result["case"] for result in results] == cases("evaluation_size.py")
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
    "ceiling.py",
    "chain.py",
    "compare_runs.py",
    "coverage.py",
    "evaluation.py",
    "evaluation_size.py",
    "floor.py",
    "gpu.sh",
    "gpu_checks.py",
    "gpu_prepare.sh",
    "gpu_report.py",
    "memory.py",
    "diffusion.py",
    "pack_images.py",
    "pretrain.py",
    "sampling.py",
    "tiling.py",
}
RUN_IN_CLIENTS = {"clients.py", "clients.sh"}
"""By tests/clients."""
SHARED = {"images.py", "side_by_side.py"}
"""Modules that benchmarks import."""


def test_every_benchmark_is_tested():
    scripts = {path.name for path in BENCHMARKS.glob("*.*") if path.suffix in (".py", ".sh")}
    assert scripts == RUN_ABOVE | RUN_IN_CLIENTS | SHARED
