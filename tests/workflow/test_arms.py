"""Dry runs of studies with several arms and banks."""

import json
import re

import pytest
import yaml
from tests.workflow.clone import TINY, copy_repository, planned, snakemake, write_config
from tests.workflow.jobs import jobs

ARMS = {
    "gen-dino": {"bank": "default"},
    "pixel-mix": {"bank": "default", "interpolation": "pixel"},
    "dino-longer": {"match_compute": "gen-dino"},
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return copy_repository(tmp_path_factory.mktemp("arms") / "clone")


@pytest.fixture
def config(tmp_path):
    """Write the tiny study of natural images with some sections changed."""

    def write(**sections):
        study = TINY | {"datasets": {"d": {"kind": "torchvision", "name": "CIFAR10"}}}
        study["pretraining"] = TINY["pretraining"] | {"dataset": "d"}
        study["evaluation"] = TINY["evaluation"] | {"datasets": ["d"]}
        return write_config(tmp_path / "study.yaml", study | sections)

    return write


def test_a_bank_of_one_seed_is_made_once_and_used_by_every_retraining(clone, config):
    bank = {"default": {"seed": 1, "sampling_steps": 2}}
    jobs = planned(clone, config(seeds=[0, 1, 2], banks=bank, retraining=ARMS))
    counts = {name: jobs[name] for name in ("train_diffusion", "generate_bank", "evaluate_bank", "retrain_encoder")}
    assert counts == {"train_diffusion": 1, "generate_bank": 1, "evaluate_bank": 1, "retrain_encoder": 9}
    assert jobs["pretrain_encoder"] == 3  # the arms' baseline, seed by seed


def test_each_seed_has_its_own_bank_by_default(clone, config):
    jobs = planned(clone, config(seeds=[0, 2], retraining=ARMS))
    counts = {name: jobs[name] for name in ("train_diffusion", "generate_bank", "evaluate_bank", "retrain_encoder")}
    assert counts == {"train_diffusion": 2, "generate_bank": 2, "evaluate_bank": 2, "retrain_encoder": 6}


def test_the_stored_config_keeps_the_order_of_arms_and_their_overrides(clone, config):
    arms = {"z": {"bank": "default", "gradient_accumulation": 1}, "a": {"bank": "default"}}
    pretraining = TINY["pretraining"] | {"dataset": "d", "gradient_accumulation": 2}
    stored = "results/tiny/config.yaml"
    assert snakemake(clone, config(retraining=arms, pretraining=pretraining), stored).returncode == 0
    found = yaml.safe_load((clone / stored).read_text())["retraining"]
    assert [(name, arm["gradient_accumulation"]) for name, arm in found.items()] == [("z", 1), ("a", 2)]


def test_a_study_of_a_hundred_arms_stores_its_config(clone, config):
    """Its settings are larger than an argument of a command may be."""
    arms = {f"arm-{number}": {"bank": "default", "views": {"jitter": number / 100}} for number in range(100)}
    stored = "results/tiny/config.yaml"
    done = snakemake(clone, config(retraining=arms), stored)
    assert done.returncode == 0, done.stdout
    assert len((clone / stored).read_text()) > 1 << 17
    assert list(yaml.safe_load((clone / stored).read_text())["retraining"]) == list(arms)


def test_only_networks_that_differ_are_checked_before_the_first_training(clone, config):
    arms = {f"arm-{number}": {"bank": "default", "views": {"jitter": number / 100}} for number in range(3)}
    arms |= {f"deep-{number}": {"bank": "default", "drop_path": 0.3, "epochs": number + 1} for number in range(3)}
    encoder = "results/tiny/encoders/dino/seed0/model.safetensors"
    shown = snakemake(clone, config(retraining=arms), "-n", "--printshellcmds", encoder).stdout
    (command,) = [line for line in shown.splitlines() if "--arms" in line]
    checked = json.loads(re.search(r"--arms '(.*?)'", command)[1])
    assert list(checked) == ["deep-0"]
    assert checked["deep-0"]["drop_path"] == 0.3


def test_a_longer_dino_needs_no_diffusion_model(clone, config):
    longer = "results/tiny/encoders/dino-longer/seed0/model.safetensors"
    jobs = planned(clone, config(retraining=ARMS), longer)
    assert jobs == {"import_images": 1, "index_images": 1, "retrain_encoder": 1}


def test_banks_of_real_images_need_no_diffusion_model(clone, config):
    banks = {"near": {"kind": "neighbours", "shards": 2}, "own": {"kind": "sources"}}
    arms = {name: {"bank": name, "disentangle_weight": 0} for name in banks}
    jobs = planned(clone, config(banks=banks, retraining=arms))
    assert {name: jobs[name] for name in ("copy_bank", "evaluate_bank", "retrain_encoder")} == {
        "copy_bank": 3,
        "evaluate_bank": 2,
        "retrain_encoder": 2,
    }
    assert not {"train_diffusion", "train_autoencoder", "generate_bank"} & set(jobs)


def test_only_copies_of_neighbours_need_an_encoder(clone, config):
    banks = {"near": {"kind": "neighbours"}, "own": {"kind": "sources"}}
    shards = {name: f"results/tiny/bank/{name}/seed0/generative-0000.h5" for name in banks}
    study = config(banks=banks, retraining={})
    assert planned(clone, study, shards["own"]) == {"import_images": 1, "index_images": 1, "copy_bank": 1}
    assert planned(clone, study, shards["near"])["pretrain_encoder"] == 1


def test_a_second_round_has_a_bank_conditioned_on_the_first_arms_encoder(clone, config):
    banks = {"default": {"sampling_steps": 2}, "second": {"sampling_steps": 2, "encoder": "gen-dino"}}
    again = {"gen-dino": {"bank": "default"}, "gen-dino-2": {"bank": "second"}}
    second = "results/tiny/encoders/gen-dino-2/seed0/model.safetensors"
    assert planned(clone, config(banks=banks, retraining=again), second) == {
        "import_images": 1,
        "index_images": 1,
        "pretrain_encoder": 1,
        "embed_images": 2,
        "train_diffusion": 2,
        "generate_bank": 2,
        "retrain_encoder": 2,
    }


@pytest.mark.parametrize(
    ("arm", "mistake"),
    [
        ({"image_px": 18}, "image_px 18 is not a multiple of the patch size 4 of backbone vit_tiny_patch16_224"),
        ({"backbone_args": {"dept": 2}}, "backbone vit_tiny_patch16_224 does not accept {"),
    ],
)
def test_an_arm_without_a_possible_network_is_refused_before_the_first_training(finished, tmp_path, arm, mistake):
    values = finished.values | {"retraining": {"gen-dino": {"bank": "default"}, "wrong": {"bank": "default"} | arm}}
    job = jobs(finished.clone, write_config(tmp_path / "study.yaml", values))["pretrain_encoder"]
    done = job.run(finished.clone)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: retraining.wrong: {mistake}")
