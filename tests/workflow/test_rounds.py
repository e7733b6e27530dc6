"""A finished run goes on: a bank from the embeddings of an external encoder, a second round with the retrained encoder,
and continued pre-training of the external encoder."""

import json
import shutil

import h5py
import pytest
import timm
import torch
from safetensors.torch import load_file
from tests.workflow.clone import TINY, snakemake, write_config

from gensis.artifacts.files import read_json
from gensis.settings import load_study
from gensis.ssl.backbone import create_backbone, save_encoder
from gensis.ssl.preprocessing import Preprocessing
from gensis.verification.study import verify

pytestmark = pytest.mark.slow  # one more whole run

WIDER = {"patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 2}
OTHER_MEAN, OTHER_STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
ARMS = {
    "of-theirs": {"bank": "theirs"},
    "second": {"bank": "second"},
    "adapted": {
        "init": "theirs",
        "backbone_args": WIDER,
        "continued": {"frozen_blocks": 1, "layer_decay": 0.5, "head_epochs": 1},
    },
}


@pytest.fixture(scope="module")
def rounds(finished, tmp_path_factory):
    """A copy of the finished run with these banks and arms: its folder, its log, and its verified lines."""
    clone = shutil.copytree(finished.clone, tmp_path_factory.mktemp("rounds") / "clone", symlinks=True)
    torch.manual_seed(0)
    network, arguments = create_backbone("vit_tiny_patch16_224", 16, WIDER)
    save_encoder(
        network,
        clone.parent / "theirs",
        name="vit_tiny_patch16_224",
        arguments=arguments,
        preprocessing=Preprocessing((16, 16), OTHER_MEAN, OTHER_STD),
    )
    values = finished.values
    plain = {"sampling_steps": 2}
    values["banks"] |= {"theirs": plain | {"encoder": "theirs"}, "second": plain | {"encoder": "gen-dino"}}
    values["retraining"] |= ARMS
    values["encoders"] = {"theirs": {"path": str(clone.parent / "theirs")}}
    result = snakemake(clone, write_config(clone.parent / "rounds.yaml", values))
    assert result.returncode == 0, result.stdout[-5000:]
    return (
        clone / "results/tiny",
        result.stdout,
        verify(load_study(values), clone / "results/tiny", clone / "results/images"),
    )


def test_the_run_is_intact_and_nothing_of_the_first_round_was_made_again(rounds):
    _, log, findings = rounds
    assert findings == []
    made = [line.split("(Rule: ")[1].rstrip(")") for line in log.splitlines() if "(Rule: " in line]
    assert made.count("train_diffusion") == made.count("generate_bank") == 2
    assert made.count("retrain_encoder") == 3
    assert "pretrain_encoder" not in made


@pytest.mark.parametrize(("bank", "encoder"), [("theirs", "theirs"), ("second", "gen-dino")])
def test_a_bank_is_conditioned_by_the_encoder_that_it_names(rounds, bank, encoder):
    run = rounds[0]
    weights = read_json(run / f"encoders/{encoder}/seed0/provenance.json")["weights"]
    with h5py.File(run / f"embeddings/{encoder}/tissue/seed0/part-0000.h5") as file:
        assert json.loads(file.attrs["provenance"])["inputs"]["encoder"] == weights
        assert file["features"].shape[1] == (32 if encoder == "theirs" else 24)
    diffusion = read_json(run / f"diffusion/{encoder}/seed0/provenance.json")
    with h5py.File(run / f"bank/{bank}/seed0/generative-0000.h5") as file:
        inputs = json.loads(file.attrs["provenance"])["inputs"]
    assert inputs["embeddings"] == diffusion["inputs"]["embeddings"]


def test_a_small_encoder_is_trained_with_the_bank_of_a_larger_one_and_marked(rounds):
    run = rounds[0]
    record = read_json(run / "encoders/of-theirs/seed0/provenance.json")
    assert list(record["external_weights"]) == [str(run.parents[2] / "theirs")]
    model = timm.create_model(f"local-dir:{run / 'encoders/of-theirs/seed0'}", pretrained=True, num_classes=0)
    assert model.num_features == TINY["pretraining"]["backbone_args"]["embed_dim"]


def test_the_adapted_encoder_keeps_what_is_frozen_and_its_preprocessing(rounds):
    run = rounds[0]
    before, after = (load_file(run / f"encoders/{name}/seed0/model.safetensors") for name in ("theirs", "adapted"))
    kept = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if name.startswith(("patch_embed", "pos_embed", "cls_token", "blocks.0."))} == kept
    described = read_json(run / "encoders/adapted/seed0/config.json")["pretrained_cfg"]
    assert (tuple(described["mean"]), tuple(described["std"])) == (OTHER_MEAN, OTHER_STD)
    assert "trained parameters: " in (run / "logs/retrain_encoder/adapted-seed0.log").read_text()
