"""The whole workflow on a few real slides and real images; skipped if the data folder does not exist."""

import csv

import pytest
from tests.warm_python import warm_python
from tests.workflow.clone import TINY, copy_repository, snakemake, write_config

from gensis.artifacts.files import read_json


def summary(folder, values):
    clone, config = copy_repository(folder / "clone"), write_config(folder / "study.yaml", values)
    result = snakemake(clone, config, python=warm_python())
    assert result.returncode == 0, result.stdout[-5000:]
    with open(folder / "clone/results/tiny/summary.csv") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.slow
def test_lymphoma_slides_give_slide_level_results(data, tmp_path):
    lines = (data / "histology/lymphoma/slides.csv").read_text().splitlines()
    chosen = [line for kind in ("CLL", "FL", "MCL") for line in [row for row in lines if row.startswith(kind)][:3]]
    sheet = tmp_path / "slides.csv"
    rows = [line.replace(",", f",{data}/histology/lymphoma/", 1) for line in chosen]
    sheet.write_text("\n".join([lines[0], *rows]) + "\n")
    dataset = {"kind": "slides", "sheet": str(sheet), "columns": {"group": "case"}, "tile_px": 224, "mpp": 0.5}
    values = TINY | {
        "datasets": {"lymphoma": dataset | {"tiles_per_slide": 8}},
        "pretraining": TINY["pretraining"] | {"dataset": "lymphoma"},
        "evaluation": TINY["evaluation"] | {"datasets": ["lymphoma"]},
    }
    rows = summary(tmp_path, values)
    assert {row["task"] for row in rows} == {"knn", "linear", "slides-mean", "slides-abmil"}
    assert {row["n"] for row in rows if row["task"] == "slides-mean"} == {"9"}


@pytest.mark.slow
def test_cifar10_images_give_a_summary_with_latents_and_shards(data, tmp_path):
    path = data / "natural/cifar10/cifar10_jpeg.h5"
    dataset = {"kind": "hdf5", "path": str(path), "max_images": {"train": 200, "test": 100}, "shards": 2}
    values = TINY | {
        "datasets": {"cifar10": dataset},
        "pretraining": TINY["pretraining"] | {"dataset": "cifar10"},
        "autoencoder": "train",
        "autoencoder_training": {"channels": [8, 16], "steps": 20, "batch_size": 16},
        "banks": {"default": {"sampling_steps": 2, "shards": 2}},
        "evaluation": TINY["evaluation"] | {"datasets": ["cifar10"]},
    }
    rows = summary(tmp_path, values)
    assert {row["task"] for row in rows} == {"knn", "linear"}
    assert {row["n"] for row in rows} == {"100"}
    run = tmp_path / "clone/results/tiny"
    assert (run / "diffusion/dino/seed0/vae/config.json").exists()
    assert (run / "diffusion/dino/seed0/reconstructions.png").exists()
    assert "encoder" in read_json(run / "autoencoder/seed0/provenance.json")["inputs"]
    assert "Autoencoder reconstructions" in (run / "report.html").read_text()
