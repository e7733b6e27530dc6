"""A study that trains nothing and compares external encoders, from slides to the report."""

import csv

import pytest
import timm
from tests.workflow.clone import copy_repository, snakemake, write_config
from tests.workflow.conftest import draw_slides

from gensis.settings import load_study
from gensis.ssl.backbone import preprocessing_of, save_encoder
from gensis.verification.study import verify

ARCHITECTURE = "vit_tiny_patch16_224"


@pytest.fixture
def values(tmp_path):
    """A config with two random encoders, of 24 and 48 dimensions."""
    draw_slides(tmp_path / "slides")
    for name, dimension in (("small", 24), ("large", 48)):
        arguments = {"img_size": 32, "patch_size": 8, "embed_dim": dimension, "depth": 1, "num_heads": 2}
        backbone = timm.create_model(ARCHITECTURE, num_classes=0, **arguments)
        preprocessing = preprocessing_of(backbone)
        save_encoder(backbone, tmp_path / name, name=ARCHITECTURE, arguments=arguments, preprocessing=preprocessing)
    sheet = {"kind": "slides", "sheet": str(tmp_path / "slides/slides.csv"), "columns": {"group": "case"}}
    return {
        "run": "compared",
        "datasets": {"tissue": sheet | {"tile_px": 32, "mpp": 1.0}},
        "encoders": {name: {"path": str(tmp_path / name)} for name in ("small", "large")},
        "evaluation": {"datasets": ["tissue"], "knn": [3], "mil_epochs": 2, "mil_seeds": 1, "bootstrap": 50},
    }


def rows(path):
    with open(path) as stream:
        return list(csv.DictReader(stream))


@pytest.mark.slow  # one more whole run
def test_encoders_are_compared_from_slides_to_report(tmp_path, values):
    clone = copy_repository(tmp_path / "clone")
    config = write_config(tmp_path / "compare.yaml", values)
    result = snakemake(clone, config)
    assert result.returncode == 0, result.stdout[-3000:]
    run = clone / "results/compared"
    pairs = {(row["encoder"], row["baseline"]) for row in rows(run / "comparisons.csv")}
    assert pairs == {("large", "small"), ("pixels", "small")}
    costs = {row["encoder"]: row for row in rows(run / "costs.csv")}
    assert {name: row["dimension"] for name, row in costs.items() if name != "pixels"} == {"small": "24", "large": "48"}
    assert "tissue: accuracy and cost" in (run / "report.html").read_text()
    assert "Nothing to be done" in snakemake(clone, config, "-n").stdout
    done = snakemake(clone, config, "verify")
    assert done.returncode == 0, done.stdout[-2000:]
    (run / "evaluation/small/tissue/seed0/knn.json").unlink()
    images = clone / "results/images"
    assert [line for line in verify(load_study(values), run, images) if "small/tissue/seed0/knn.json" in line]


def test_a_study_without_labelled_data_sets_ends_with_one_line(tmp_path, values):
    clone = copy_repository(tmp_path / "clone")
    result = snakemake(clone, write_config(tmp_path / "embed.yaml", values | {"evaluation": {}}), "-n")
    assert result.stdout.splitlines()[-1].startswith("error: config: pretraining is missing: add it, or run images")
