"""A tiny study with every stage, and for each stage a job that a test kills."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tests.workflow.clone import write_config
from tests.workflow.conftest import draw_slides, tiny_study


class Stage(NamedTuple):
    """A job of a stage: a file that it makes, and all that it makes, below `results`."""

    target: str
    results: str


_ENCODERS = "tiny/encoders"
_BANKS = "tiny/bank"
_EMBEDDINGS = "tiny/embeddings/dino/tissue/seed0/part-0000.h5"
_EVALUATION = "tiny/evaluation/dino/tissue/seed0"
STAGES = {
    "tile_slide": Stage("images/tissue/lymphoid-1.h5", "images/tissue/lymphoid-1.*"),
    "import_images": Stage("images/photos/train-0000.h5", "images/photos/train-0000.*"),
    "index_images": Stage("images/tissue/train.tsv", "images/tissue/train.tsv"),
    "plot_slides": Stage("images/tissue/slides.jpg", "images/tissue/[so][lv]*s*"),
    "pretrain_encoder": Stage(f"{_ENCODERS}/dino/seed0/provenance.json", f"{_ENCODERS}/dino/seed0"),
    "embed_images": Stage(_EMBEDDINGS, _EMBEDDINGS),
    "train_autoencoder": Stage("tiny/autoencoder/seed0/provenance.json", "tiny/autoencoder/seed0"),
    "train_diffusion": Stage("tiny/diffusion/dino/seed0/provenance.json", "tiny/diffusion/dino/seed0"),
    "generate_bank": Stage(f"{_BANKS}/default/seed0/generative-0000.h5", f"{_BANKS}/default/seed0/*.h5"),
    "copy_bank": Stage(f"{_BANKS}/copied/seed0/generative-0000.h5", f"{_BANKS}/copied/seed0/*.h5"),
    "filter_bank": Stage(f"{_BANKS}/default/seed0/filter/generative-0000.h5", f"{_BANKS}/default/seed0/filter/*.h5"),
    "retrain_encoder": Stage(f"{_ENCODERS}/gen-dino/seed0/provenance.json", f"{_ENCODERS}/gen-dino/seed0"),
    "evaluate_bank": Stage(f"{_BANKS}/default/seed0/quality.json", f"{_BANKS}/default/seed0/quality.json"),
    "evaluate_encoder": Stage(f"{_EVALUATION}/predictions.h5", f"{_EVALUATION}/[!k]*"),
    "track_knn": Stage(f"{_EVALUATION}/knn_history.csv", f"{_EVALUATION}/knn_history.csv"),
    "summarize": Stage("tiny/summary.csv", "tiny/*m*.csv"),
    "write_report": Stage("tiny/report.html", "tiny/report.html"),
    "export_geojson": Stage("images/tissue/geojson", "images/tissue/geojson"),
    "export_features": Stage("tiny/features/dino/tissue/seed0", "tiny/features/dino/tissue/seed0"),
}


def draw_photos(folder: Path) -> dict:
    """Draw photos of two classes, and return the settings of a data set of them."""
    dice = np.random.default_rng(0)
    for number in range(60):
        path = folder / ("train", "test")[number % 3 == 0] / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dice.integers(0, 128 + 120 * (number % 2), (40, 40, 3), np.uint8)).save(path)
    return {"kind": "folder", "path": str(folder), "image_px": 32, "splits": {"train": "train", "test": "test"}}


def with_every_stage(study: dict, photos: dict) -> dict:
    """A study with the stages that the tiny one does not have: imported images, an autoencoder, and a copied bank."""
    training = {"channels": [8, 16], "steps": 8, "batch_size": 16, "warmup_steps": 2}
    return study | {
        "datasets": study["datasets"] | {"photos": photos},
        "evaluation": study["evaluation"] | {"datasets": ["tissue", "photos"]},
        "banks": study["banks"] | {"copied": {"kind": "neighbours"}},
        "autoencoder": "train",
        "autoencoder_training": training,
    }


def make_study(folder: Path) -> Path:
    """Draw slides and photos, and write the config of the study, whose trainings are long enough to be killed."""
    draw_slides(folder / "slides")
    study = with_every_stage(tiny_study(folder / "slides"), draw_photos(folder / "photos"))
    study["pretraining"] = study["pretraining"] | {"epochs": 8}
    study["diffusion"] = study["diffusion"] | {"steps": 100}
    study["autoencoder_training"] = study["autoencoder_training"] | {"steps": 80}
    return write_config(folder / "study.yaml", study | {"runtime": {"checkpoint_seconds": 0.2}})
