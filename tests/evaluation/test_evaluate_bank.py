"""The script on a tiny bank whose images are their own sources."""

import argparse
import json
import time

import numpy as np
import pytest
import torch
from tests.diffusion.tiny import UNET, smooth_images

import evaluate_bank
import filter_bank
from gensis.artifacts.files import read_json, write_json
from gensis.artifacts.tables import write_table
from gensis.diffusion.denoiser import create_denoiser
from gensis.diffusion.objective import make_scheduler
from gensis.diffusion.pipeline import GenSISPipeline
from gensis.evaluation.copying import RATIO
from gensis.figures.bank_quality import MEANINGS
from gensis.images.bank_filter import filter_path, read_keep_mask, write_filter
from gensis.images.codec import encode_png
from gensis.images.embeddings import write_embeddings
from gensis.images.index import write_index
from gensis.images.store import write_store
from gensis.settings.diffusion import Diffusion
from gensis.settings.evaluation import Evaluation
from gensis.settings.pretraining import Pretraining
from gensis.settings.runtime import Runtime
from gensis.ssl.backbone import create_backbone, load_encoder, save_encoder
from gensis.ssl.preprocessing import Preprocessing

IMAGES, HELD_OUT, PX = 60, 6, 16
PRETRAINING = {
    "dataset": "tiny",
    "backbone": "vit_tiny_patch16_224",
    "backbone_args": {"patch_size": 8, "embed_dim": 24, "depth": 1, "num_heads": 2},
    "image_px": PX,
}


def write_bank(folder, kind, images, partner, alpha):
    columns = {"source": np.arange(len(images)), "partner": partner, "alpha": alpha.astype(np.float32)}
    write_store(folder / f"{kind}-0000.h5", [encode_png(image) for image in images], {}, columns=lambda: columns)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Images, their embeddings, an untrained diffusion model, and the sources themselves as bank."""
    folder = tmp_path_factory.mktemp("bank")
    images = smooth_images(IMAGES + HELD_OUT, PX)
    make(folder, images)
    images = images[:IMAGES]
    write_bank(folder / "bank", "generative", images, np.full(IMAGES, -1), np.ones(IMAGES))
    mixed = (images.astype(int) + np.roll(images, -1, axis=0)) // 2
    write_bank(
        folder / "bank", "interpolated", mixed.astype(np.uint8), (np.arange(IMAGES) + 1) % IMAGES, np.full(IMAGES, 0.5)
    )
    return folder


def make(folder, images, model_px=PX):
    """Write images of both splits, embeddings, and an untrained diffusion model that generates ``model_px``."""
    listed = {}
    for unit, part in {"train-0000": images[:IMAGES], "test-0000": images[IMAGES:]}.items():
        listed[unit] = write_store(folder / f"{unit}.h5", [encode_png(image) for image in part], {})
    write_index(folder / "train.tsv", [("train-0000", *listed["train-0000"])])
    units = [(unit, "", unit.partition("-")[0], *written) for unit, written in listed.items()]
    write_table(folder / "units.tsv", ("unit", "group", "split", "images", "content"), units)
    labels = [("train-0000", row, "dark" if images[row].mean() < 128 else "light", "") for row in range(IMAGES)]
    write_table(folder / "labels.tsv", ("unit", "row", "label", "group"), labels)

    torch.manual_seed(0)
    name, arguments = PRETRAINING["backbone"], PRETRAINING["backbone_args"]
    backbone, given = create_backbone(name, PX, arguments)
    save_encoder(
        backbone,
        folder / "encoder",
        name=name,
        arguments=given,
        preprocessing=Preprocessing((PX, PX), (0.5,) * 3, (0.25,) * 3),
    )
    pixels = torch.from_numpy(images[:IMAGES]).permute(0, 3, 1, 2)
    features = load_encoder(folder / "encoder")(pixels).numpy()
    keys = np.array([str(row) for row in range(IMAGES)], object)
    write_embeddings(folder / "part-0000.h5", [features], unit=np.zeros(IMAGES, int), units=["train-0000"], keys=keys)

    denoiser = create_denoiser(Diffusion(**UNET), (3, model_px, model_px), features.shape[1])
    GenSISPipeline(denoiser, make_scheduler("flow", True)).save_pretrained(folder / "diffusion")
    record = {"weights": "0" * 16, "settings": UNET, "embedding_width": features.shape[1]}
    write_json(folder / "diffusion" / "provenance.json", record)


def measured(folder, **changes):
    arguments = {
        "config": {"sampling_steps": 1, "guidance": 1.0},
        "runtime": Runtime(inference_batch_size=32),
        "pretraining": Pretraining.model_validate(PRETRAINING),
        "evaluation": Evaluation(bootstrap=50),
        "train": folder / "train.tsv",
        "units": folder / "units.tsv",
        "labels": folder / "labels.tsv",
        "slides_are_units": False,
        "filtered": False,
        "held_out": [folder / "test-0000.h5"],
        "embeddings": [folder / "part-0000.h5"],
        "encoder": folder / "encoder",
        "judge": None,
        "judge_embeddings": None,
        "diffusion": folder / "diffusion",
        "bank": folder / "bank",
        "output": folder / "quality.json",
        **{"seed": 0, "threads": 1, "gpus": 0, "started": time.time()},
    }
    evaluate_bank.main(argparse.Namespace(**(arguments | changes)))
    return read_json(folder / "quality.json")


def test_sources_as_their_own_bank_have_full_fidelity_and_are_copies(made):
    result = measured(made)
    figures = {figure["figure"]: figure for figure in result["figures"]}
    assert result["skipped"] == {}
    assert set(figures) == set(MEANINGS)  # the report explains each
    assert figures["fidelity"]["value"] == pytest.approx(1, abs=1e-5)
    assert figures["fidelity"]["floor"] < figures["fidelity"]["ceiling"] < 1
    assert (figures["source_nearest"]["value"], figures["near_duplicates"]["value"]) == (1, 1)
    for space in ("encoder", "random", "pixels"):
        assert figures[f"frechet_{space}"]["value"] == pytest.approx(figures[f"frechet_{space}"]["floor"], rel=1e-3)
        assert figures[f"frechet_{space}"]["n"] == IMAGES // 2
    assert figures["near_duplicates_held_out"]["value"] == 0  # the diffusion model is not trained
    assert figures["near_duplicates_held_out"]["n"] == HELD_OUT
    for space in ("random", "pixels"):
        found = figures[f"diversity_{space}"]
        assert found["n"] == IMAGES // 2  # each source is a condition, since there are fewer than 64
        assert 0 < found["low"] < found["value"] < found["high"]
        assert 0 < found["floor"] < found["ceiling"]
    assert result["class_consistency"]["ratio"]["value"] == 1
    assert result["class_consistency"]["views"]["value"] <= result["class_consistency"]["real"]["value"]
    assert [point["alpha"] for point in result["along_alpha"]] == [0.5, 1]
    assert result["along_alpha"][1]["source"] == pytest.approx(1, abs=1e-5)
    assert {"train", "embeddings", "encoder", "diffusion", "labels", "generative-0000"} <= set(
        result["provenance"]["inputs"]
    )
    assert "NaN" not in json.dumps(result)


def test_the_judge_is_the_encoder_of_the_bank_or_the_one_that_is_given(made):
    own = measured(made)
    judged = {"judge": made / "encoder", "judge_embeddings": [made / "part-0000.h5"]}
    again = measured(made, **judged, evaluation=Evaluation(bootstrap=50, judge="other"))
    assert own["view_distance"] == again["view_distance"]
    points = {point["kind"]: point for point in own["view_distance"]["points"]}
    assert list(points) == ["views", "bank", "neighbours", "same_class", "others"]
    assert abs(points["bank"]["relative_distance"]) < 4 * points["bank"]["relative_distance_error"]
    inputs = own["provenance"]["inputs"]
    of_judge = {"judge": inputs["encoder"], "judge_embeddings": inputs["embeddings"]}
    assert again["provenance"]["inputs"] == inputs | of_judge


def test_a_bank_of_real_images_is_measured_without_a_diffusion_model(made):
    result = measured(made, diffusion=None, config={"kind": "sources"})
    figures = {figure["figure"]: figure for figure in result["figures"]}
    of_model = {"fidelity_held_out", "near_duplicates_held_out", "diversity_random", "diversity_pixels"}
    assert set(figures) == set(MEANINGS) - of_model
    assert set(result["skipped"]) == {"held-out images", "diversity"}
    assert figures["fidelity"]["value"] == pytest.approx(1, abs=1e-5)
    assert "diffusion" not in result["provenance"]["inputs"]


def test_batch_size_does_not_change_metrics(made):
    options = {"labels": None, "evaluation": Evaluation(bank_images=20)}
    first, again = (measured(made, **options, runtime=Runtime(inference_batch_size=size)) for size in (32, 16))
    assert first["figures"] == again["figures"]
    assert first["sources"] == 20


def test_a_limit_of_known_images_changes_only_neighbour_metrics(made, monkeypatch):
    whole = measured(made, evaluation=Evaluation(bootstrap=50, bank_images=20))
    monkeypatch.setattr("gensis.evaluation.bank_sample.MOST_KNOWN", 30)
    part = measured(made, evaluation=Evaluation(bootstrap=50, bank_images=20))
    assert part["class_consistency"]["ratio"]["value"] == 1
    of_whole, of_part = ({found["figure"]: found for found in result["figures"]} for result in (whole, part))
    different = {name for name, found in of_part.items() if found != of_whole[name]}
    assert {"source_nearest", "source_rank", "both_sources_top2"} >= different
    assert of_part["source_nearest"]["value"] == 1
    assert 1 / IMAGES < of_part["source_nearest"]["floor"] <= 1 / 30


def test_filtered_images_are_counted_and_not_measured(made):
    kept = np.arange(IMAGES) % 4 > 0
    thresholds = {"minimum_fidelity": 0.5, "copying_ratio": 0.2}
    measures = {"fidelity": np.where(np.arange(IMAGES) % 8, 0.9, 0.4), "copy_ratio": np.where(kept, 0.3, 0.1)}
    write_filter(filter_path(made / "bank/generative-0000.h5"), measures, kept, thresholds)
    write_filter(filter_path(made / "bank/interpolated-0000.h5"), measures, np.zeros(IMAGES, bool), thresholds)
    result = measured(made, filtered=True)
    counts = {"generated": IMAGES, "unfaithful": 8, "copies": 15}
    assert result["filter"] == {
        "generative": counts | {"kept": 45, "sources_without": 15},
        "interpolated": counts | {"kept": 0, "sources_without": IMAGES},
    }
    assert result["skipped"]["interpolated images"] == "the bank has none"
    assert {"filter/generative-0000", "generative-0000"} <= set(result["provenance"]["inputs"])
    figures = {figure["figure"]: figure for figure in result["figures"]}
    assert figures["fidelity"]["value"] == pytest.approx(1, abs=1e-5)  # each image belongs to the source measured


@pytest.mark.parametrize("ratio", [RATIO, 0.5])
def test_near_duplicates_are_what_a_filter_with_the_same_ratio_rejects(tmp_path, monkeypatch, ratio):
    monkeypatch.setattr("gensis.evaluation.copying.NEIGHBOURS_AMONG", 40)
    monkeypatch.setattr("gensis.evaluation.bank_metrics.RATIO", ratio)
    images = np.random.default_rng(0).integers(0, 256, (IMAGES + HELD_OUT, 48, 48, 3), np.uint8)
    make(tmp_path, images, model_px=24)  # images that are resized twice differ from those that are resized once
    sources = images[: IMAGES // 2]  # only these have generated images, so all of these are measured
    halved = sources.reshape(-1, 24, 2, 24, 2, 3).mean((2, 4))
    generated = 128 + np.linspace(0.2, 1, len(sources))[:, None, None, None] * (halved - 128)
    others = np.full(len(sources), -1), np.ones(len(sources))
    write_bank(tmp_path / "bank", "generative", generated.astype(np.uint8), *others)
    store = tmp_path / "bank" / "generative-0000.h5"
    filter_bank.main(
        argparse.Namespace(
            config={"copying_ratio": ratio},
            runtime=Runtime(inference_batch_size=32),
            encoder=tmp_path / "encoder",
            train=tmp_path / "train.tsv",
            embeddings=[tmp_path / "part-0000.h5"],
            stores=[store],
            **{"seed": 0, "threads": 1, "gpus": 0, "started": time.time()},
        )
    )
    figures = {figure["figure"]: figure for figure in measured(tmp_path, labels=None, held_out=[])["figures"]}
    share = figures["near_duplicates"]["value"]
    assert share == (~read_keep_mask(store)).mean()
    assert 0.1 < share < 0.9


def test_missing_kinds_of_images_are_skipped_with_a_reason(made, tmp_path):
    (tmp_path / "interpolated-0000.h5").symlink_to(made / "bank" / "interpolated-0000.h5")
    result = measured(made, bank=tmp_path, labels=None, held_out=[])
    assert result["skipped"] == {"generative images": "the bank has none"}
    assert {figure["figure"] for figure in result["figures"]} == {"fidelity_interpolated", "both_sources_top2"}
    result = measured(made, evaluation=Evaluation(bank_images=3))
    assert (result["figures"], result["skipped"]) == ([], {"all figures": "3 sources are fewer than 20"})
