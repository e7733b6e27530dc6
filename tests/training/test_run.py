"""`run_training` with a training that counts its steps."""

import json
import shutil

import pytest
import torch

from gensis.artifacts.files import content_id, read_json
from gensis.artifacts.tables import read_table
from gensis.training.checkpoints import CheckpointFolder, fingerprint
from gensis.training.distributed import World
from gensis.training.run import run_training, start, training_parser

CPU, CONFIG, INPUTS = torch.device("cpu"), {"steps": 4}, {"train": "0" * 16}


class Count:
    total_steps, steps_per_row, images_per_step = 4, 2, 1

    def step(self, step):
        return {"loss": float(step)}


def trained(folder, output, built, recipe=3):
    """Train and publish to a folder; ``built`` collects the checkpoint folder of each training."""
    places = ["--train", folder / "train.tsv", "--checkpoints", folder / "checkpoints", "--output", output]
    arguments = training_parser("").parse_args([*map(str, places), "--config", json.dumps(CONFIG), "--seed", "5"])
    arguments.started = 0.0

    def build(checkpoints):
        built.append(checkpoints.path)
        return Count(), lambda row: {"twice": 2 * row["loss"]}

    def write(task, target):
        (target / "weights.txt").write_text(str(task.total_steps))
        return {"weights": content_id(target / "weights.txt")}

    made = {"stage": "encoder", "format": "test/1", "recipe": recipe, "inputs": INPUTS, "external_weights": {"a": "b"}}
    run_training(arguments, World(), CPU, **made, build=build, write=write)
    return read_json(output / "provenance.json")


def test_the_artifact_has_history_and_provenance(tmp_path):
    record = trained(tmp_path, tmp_path / "out", [])
    rows = read_table(tmp_path / "out" / "history.csv", ",")
    assert [(row["step"], row["loss"], row["twice"]) for row in rows] == [("2", "0.5", "1"), ("4", "2.5", "5")]
    given = {"format": "test/1", "settings": CONFIG, "inputs": INPUTS, "seed": 5, "device": "cpu", "recipe": 3}
    assert given.items() <= record.items()
    assert record["external_weights"] == {"a": "b"}
    assert record["weights"] == record["files"]["weights.txt"] == content_id(tmp_path / "out" / "weights.txt")
    assert set(record["files"]) == {"weights.txt", "history.csv"}


def test_the_same_training_is_published_again_and_another_recipe_trains_anew(tmp_path):
    built = []
    first, again = (trained(tmp_path, tmp_path / name, built) for name in ("one", "two"))
    assert first == again
    trained(tmp_path, tmp_path / "three", built, recipe=4)
    keys = [fingerprint(CONFIG, INPUTS, seed=5, device=CPU, recipe=recipe) for recipe in (3, 4)]
    assert built == [CheckpointFolder(tmp_path / "checkpoints", "encoder", key).path for key in keys]


def test_a_training_that_starts_again_with_other_threads_says_how_to_resume_the_earlier_one(
    tmp_path, monkeypatch, caplog
):
    own, other = torch.get_num_threads(), torch.get_num_threads() + 2
    monkeypatch.setattr("os.cpu_count", lambda: other)
    keys = {
        threads: fingerprint(CONFIG, INPUTS, seed=5, device=CPU, recipe=3, threads=threads) for threads in (own, other)
    }
    assert keys[own] == fingerprint(CONFIG, INPUTS, seed=5, device=CPU, recipe=3)
    folders = {threads: CheckpointFolder(tmp_path / "checkpoints", "encoder", key) for threads, key in keys.items()}
    trained(tmp_path, tmp_path / "alone", [])
    assert not caplog.text
    with folders[other] as folder:
        folder.save({"step": 1})
    shutil.rmtree(folders[own].path)
    trained(tmp_path, tmp_path / "anew", [])
    assert f"{own} CPU threads, and {folders[other].path} has checkpoints" in caplog.text
    assert f"training with {other}: to resume it, stop this job, and run again with --cores {other}" in caplog.text


def test_a_training_that_resumes_does_not_mention_other_threads(tmp_path, caplog):
    own, other = (CheckpointFolder(tmp_path, "encoder", name) for name in "ab")
    for folder in (own, other):
        with folder:
            folder.save({"step": 1})
    own.warn_of_others({1: "a", 2: "b"})
    assert not caplog.text


@pytest.mark.parametrize(("given", "processes", "share"), [(8, 4, 2), (8, 1, 8), (1, 4, 1)])
def test_the_processes_of_a_machine_share_its_threads(monkeypatch, given, processes, share):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    arguments = training_parser("").parse_args(
        ["--threads", str(given), *("--train", "train.tsv", "--checkpoints", "checkpoints", "--output", "encoder")]
    )
    before = torch.get_num_threads()
    try:
        assert start(arguments) == (World(), CPU)
        assert arguments.threads == torch.get_num_threads() == share
    finally:
        torch.set_num_threads(before)
