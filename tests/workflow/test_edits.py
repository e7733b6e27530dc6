"""Dry runs after a user edits or copies files. Files are stubs, since no job is run."""

import json
import os
import re
import shutil

import pytest
from tests.workflow.clone import TINY, copy_repository, planned_first, snakemake, write_config

from gensis.artifacts.tables import write_table

SHEET = """slide,path,mask,annotations
plain,plain.tiff,,
drawn,drawn.tiff,drawn.geojson,
pictured,pictured.tiff,pictured.png,
mirax,mirax.mrxs,,
dicom,dicom/1.dcm,,
instances,instances,,
zarr,zarr,,
annotated,annotated.tiff,,annotated.geojson
unreadable,unreadable.tiff,,
partial,partial.tiff,,
"""
FAILED = {f"results/images/tissue/{name}.h5" for name in ("unreadable", "partial")}
SLIDES = [line.split(",")[0] for line in SHEET.splitlines()[1:]]
# Edited file -> output that is made again.
EDITED = {
    "plain.tiff": "results/images/tissue/plain.h5",
    "drawn.geojson": "results/images/tissue/drawn.h5",
    "pictured.png": "results/images/tissue/pictured.h5",
    "mirax/Data0000.dat": "results/images/tissue/mirax.h5",
    "dicom/2.dcm": "results/images/tissue/dicom.h5",
    "instances/2": "results/images/tissue/instances.h5",
    "zarr/.zattrs": "results/images/tissue/zarr.h5",
    "annotated.geojson": "results/images/tissue/labels.tsv",
    "photos/one.png": "results/images/photos/train-0000.h5",
    "packed.h5": "results/images/packed/train-0000.h5",
    "theirs/model.safetensors": "results/tiny/encoders/theirs/seed0/config.json",
    "others.bin": "results/tiny/encoders/others/seed0/config.json",
    "autoencoder/diffusion_pytorch_model.safetensors": "results/tiny/diffusion/dino/seed0/model_index.json",
}
TARGETS = [
    *(path for path in EDITED.values() if not path.endswith(".h5")),
    *(f"results/images/tissue/{name}.h5" for name in SLIDES),
    *(f"results/images/{name}/train-0000.h5" for name in ("photos", "packed")),
]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Files of every kind that a rule reads. Their contents do not matter, since no job is run."""
    folder = tmp_path_factory.mktemp("sources")
    beside = ["mirax.mrxs", "mirax/Slidedat.ini", "dicom/1.dcm", "theirs/config.json", "autoencoder/config.json"]
    for path in [*EDITED, *beside, *(f"{name}.tiff" for name in SLIDES)]:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(f"what {path} holds")
    (folder / "slides.csv").write_text(SHEET)
    (folder / "photos.csv").write_text("path\nphotos/one.png\n")
    return folder


@pytest.fixture(scope="module")
def plan(tmp_path_factory, sources):
    """A function that dry-runs all targets of a study whose outputs exist as stubs."""
    clone = copy_repository(tmp_path_factory.mktemp("edits") / "clone")
    tissue = {"kind": "slides", "sheet": f"{sources}/slides.csv"}
    photos = {"kind": "files", "sheet": f"{sources}/photos.csv", "image_px": 16}
    packed = {"kind": "hdf5", "path": f"{sources}/packed.h5", "splits": {"train": "train"}}
    tree = {"kind": "folder", "path": str(sources), "splits": {"train": "train"}}
    study = TINY | {
        "datasets": {"tissue": tissue, "photos": photos, "packed": packed, "tree": tree},
        "pretraining": TINY["pretraining"] | {"dataset": "tree"},
        "encoders": {
            "theirs": {"path": f"{sources}/theirs"},
            "others": {"timm": "resnet18", "path": f"{sources}/others.bin"},
        },
        "autoencoder": f"{sources}/autoencoder",
        "evaluation": TINY["evaluation"] | {"datasets": ["tissue", "photos", "packed"]},
    }
    config = write_config(clone.with_name("study.yaml"), study)

    for outputs in re.findall(r"^    output: (.*)$", snakemake(clone, config, *TARGETS, "-n").stdout, re.MULTILINE):
        for path in outputs.split(", "):
            (clone / path).parent.mkdir(parents=True, exist_ok=True)
            if path.endswith(".tsv"):  # jobs ask for memory by the number of images
                write_table(clone / path, ("images",), [])
            else:
                (clone / path).write_text(json.dumps({"outcome": "ok"}))
    for name in ("unreadable", "partial"):
        (clone / f"results/images/tissue/{name}.json").write_text(json.dumps({"outcome": name}))
    assert snakemake(clone, config, *TARGETS, "--touch", "--forceall").returncode == 0
    return lambda: {output for _, output in planned_first(clone, config, *TARGETS)}


def test_copied_files_rerun_only_failed_units(plan, sources):
    for path in sources.rglob("*.*"):
        # Image files are too many to be read when planning, so copies must keep their dates.
        with_date = path.name in ("packed.h5", "one.png", "unreadable.tiff")
        (shutil.copy2 if with_date else shutil.copy)(path, sources / "copy")
        os.replace(sources / "copy", path)
    assert plan() == FAILED


def test_an_edit_of_the_same_size_reruns_the_rules_that_read_the_file(plan, sources):
    for path in EDITED:
        text = (sources / path).read_text()
        (sources / path).write_text(text.replace("what", "WHAT"))
    assert plan() - FAILED == set(EDITED.values())
