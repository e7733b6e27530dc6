"""Continued pre-training of an encoder that is already trained: what changes, how fast, and what is published."""

import copy
import json
import sys

import pytest
import timm
import torch
from tests.diffusion.tiny import run_script
from tests.ssl.conftest import TINY

from gensis.artifacts.files import read_json, write_json
from gensis.errors import UserError
from gensis.settings import load_study
from gensis.ssl.backbone import create_backbone, load_encoder, save_encoder
from gensis.ssl.preprocessing import Preprocessing
from gensis.training.loop import step_seed

VIT = {
    "backbone": "vit_tiny_patch16_224",
    "backbone_args": {"patch_size": 4, "embed_dim": 24, "depth": 3, "num_heads": 2, "reg_tokens": 2},
}
RESNET = {"backbone": "resnet18_cifar", "backbone_args": {"channels": [8, 8, 16, 16]}}
BEFORE_THE_BLOCKS = ("patch_embed", "pos_embed", "cls_token", "reg_token")
OTHER_MEAN, OTHER_STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)


@pytest.fixture
def trained(tmp_path):
    """Function that writes an encoder with random weights, as if trained elsewhere, and returns its folder."""

    def write(backbone, backbone_args, image_px=16):
        torch.manual_seed(7)
        network, arguments = create_backbone(backbone, image_px, backbone_args)
        for parameter in network.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
        preprocessing = Preprocessing((image_px,) * 2, OTHER_MEAN, OTHER_STD, interpolation="bilinear")
        save_encoder(network, tmp_path / "init", name=backbone, arguments=arguments, preprocessing=preprocessing)
        return tmp_path / "init"

    return write


@pytest.fixture
def continue_training(make_pretrainer, trained):
    """Function that builds the training that continues such an encoder."""

    def make(continued, model=VIT, **settings):
        return make_pretrainer(init=trained(**model), continued=continued, **model, **settings)

    return make


def run(pretrainer, steps, first=0):
    for step in range(first, steps):
        torch.manual_seed(step_seed(0, step))
        pretrainer.step(step)
    return pretrainer


def published(pretrainer):
    """Tensors of the encoder that is published, by name."""
    return {name: tensor.clone() for name, tensor in pretrainer.encoder().state_dict().items()}


def changed(before, after):
    """Names of the tensors that differ."""
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_the_first_embeddings_are_those_of_the_external_encoder_with_its_own_preprocessing(continue_training, tmp_path):
    pretrainer = continue_training({})
    rows = torch.arange(24)
    expected = load_encoder(tmp_path / "init")(pretrainer.images.batch(rows))
    torch.testing.assert_close(pretrainer.embed(rows)[0], expected, atol=1e-5, rtol=1e-5)
    kept = pretrainer.preprocessing
    assert (kept.mean, kept.std, kept.interpolation) == (OTHER_MEAN, OTHER_STD, "bilinear")


def test_a_corrected_normalisation_of_the_encoder_is_trained_anew(trained, images, tmp_path):
    settings = TINY | VIT | {"init": "theirs", "continued": {}, "epochs": 1}
    options = ["--config", json.dumps(settings), "--init", trained(**VIT), "--train", tmp_path / "train.tsv"]
    options += ["--checkpoints", tmp_path / "checkpoints", "--output", tmp_path / "encoder"]
    run_script("pretrain_encoder", *options)
    assert "published again" in run_script("pretrain_encoder", *options)
    config = read_json(tmp_path / "init/config.json")
    config["pretrained_cfg"]["mean"] = [0.5, 0.5, 0.5]
    write_json(tmp_path / "init/config.json", config)
    assert "published again" not in run_script("pretrain_encoder", *options)
    assert read_json(tmp_path / "encoder/config.json")["pretrained_cfg"]["mean"] == [0.5, 0.5, 0.5]


def test_frozen_blocks_of_a_transformer_and_all_before_them_stay_as_they_are(continue_training):
    pretrainer = continue_training({"frozen_blocks": 2})
    before = published(pretrainer)
    moved = changed(before, published(run(pretrainer, 2)))
    assert moved == {name for name in before if not name.startswith((*BEFORE_THE_BLOCKS, "blocks.0.", "blocks.1."))}


@pytest.mark.parametrize("method", ["dino", "simclr"])
def test_frozen_blocks_of_a_convnet_keep_their_batch_statistics(continue_training, method):
    local = {} if method == "dino" else {"views": {"local_crops": 0}}
    pretrainer = continue_training({"frozen_blocks": 3}, RESNET, method=method, **local)
    before = published(pretrainer)
    run(pretrainer, 1)
    pretrainer.embed(torch.arange(4))
    moved = changed(before, published(run(pretrainer, 2, first=1)))
    frozen = ("conv1.", "bn1.", "layer1.0.", "layer1.1.", "layer2.0.")
    assert {name for name in moved if name.startswith(frozen)} == set()
    assert {"layer2.1.bn1.running_mean", "layer4.1.bn2.running_var", "layer2.1.conv1.weight"} <= moved


def test_only_the_head_learns_at_first(continue_training):
    pretrainer = continue_training({"head_epochs": 1}, RESNET, epochs=2)
    first = pretrainer.sampler.steps_per_epoch
    before, head = published(pretrainer), copy.deepcopy(pretrainer.method.student.head.state_dict())
    assert changed(before, published(run(pretrainer, first))) == set()
    assert "mlp.0.weight" in changed(head, pretrainer.method.student.head.state_dict())
    assert {"conv1.weight", "bn1.running_mean"} <= changed(before, published(run(pretrainer, first + 1, first)))


def test_each_layer_learns_at_a_fraction_of_the_rate_of_the_next(continue_training):
    """The first step of plain gradient descent: updates are proportional to learning rates."""
    updates = []
    for decay in (1.0, 0.5):
        options = {"optimizer": "sgd", "weight_decay": (0, 0), "gradient_clip_norm": None, "warmup": 0}
        pretrainer = continue_training({"layer_decay": decay}, **options)
        student = pretrainer.method.student
        before = copy.deepcopy(student.state_dict())
        run(pretrainer, 1)
        updates.append({name: tensor - before[name] for name, tensor in student.state_dict().items()})
    for name, share in {
        "backbone.cls_token": 1 / 8,
        "backbone.patch_embed.proj.weight": 1 / 8,
        "backbone.blocks.0.mlp.fc1.weight": 1 / 4,
        "backbone.blocks.1.norm1.weight": 1 / 2,
        "backbone.blocks.2.attn.proj.weight": 1,
        "backbone.norm.weight": 1,
        "head.mlp.0.weight": 1,
    }.items():
        assert updates[0][name].abs().max() > 0
        torch.testing.assert_close(updates[1][name], share * updates[0][name], atol=1e-7, rtol=1e-2)


def test_embeddings_of_positions_and_tokens_are_exempt_from_weight_decay(continue_training):
    pretrainer = continue_training({})
    exempt = [p for group in pretrainer.optimizer.param_groups[1::2] for p in group["params"]]
    backbone = pretrainer.method.student.backbone
    assert {id(backbone.pos_embed), id(backbone.cls_token), id(backbone.reg_token)} <= set(map(id, exempt))
    run(pretrainer, 1)
    assert [group["weight_decay"] > 0 for group in pretrainer.optimizer.param_groups] == [True, False]


def test_adapters_are_merged_into_the_weights_that_timm_loads(continue_training, tmp_path):
    pytest.importorskip("peft", reason="peft is not installed")
    pretrainer = continue_training({"lora": {"rank": 2, "alpha": 6}, "frozen_blocks": 1})
    before = published(pretrainer)
    run(pretrainer, 2)
    after = published(pretrainer)
    linear = {f"blocks.{b}.{layer}.weight" for b in (1, 2) for layer in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")}
    assert changed(before, after) == linear
    of_teacher = pretrainer.method.teacher.backbone.state_dict()
    for name in linear:
        place = name.removesuffix(".weight")
        small, large = (of_teacher[f"{place}.lora_{matrix}.default.weight"] for matrix in "BA")
        assert small.shape[1] == large.shape[0] == 2
        torch.testing.assert_close(after[name], before[name] + 6 / 2 * small @ large)
    arguments = {"name": VIT["backbone"], "arguments": pretrainer.backbone_args}
    save_encoder(pretrainer.encoder(), tmp_path / "out", preprocessing=pretrainer.preprocessing, **arguments)
    plain = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True, num_classes=0).eval()
    views = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(plain(views), pretrainer.method.teacher.backbone.eval()(views), atol=1e-5, rtol=1e-5)


def test_adapters_of_the_last_block_learn_although_it_computes_the_class_token_alone(continue_training):
    pytest.importorskip("peft", reason="peft is not installed")
    pretrainer = run(continue_training({"lora": {}}), 2)
    student = pretrainer.method.student.backbone
    assert student.blocks[2].attn.qkv.lora_B.default.weight.abs().max() > 0


@pytest.mark.parametrize(
    "continued",
    [{"frozen_blocks": 1, "layer_decay": 0.7, "head_epochs": 1}, {"lora": {"rank": 2}, "layer_decay": 0.7}],
    ids=["frozen", "lora"],
)
def test_a_resumed_training_equals_an_undisturbed_one_bit_for_bit(continue_training, tmp_path, continued):
    if "lora" in continued:
        pytest.importorskip("peft", reason="peft is not installed")
    whole = run(continue_training(continued), 6)
    torch.save(run(continue_training(continued), 2).state_dict(), tmp_path / "checkpoint.pt")
    resumed = continue_training(continued)
    resumed.load_state_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    assert changed(published(whole), published(run(resumed, 6, first=2))) == set()


def test_the_log_says_how_much_is_trained(continue_training, caplog):
    caplog.set_level("INFO")
    pretrainer = continue_training({"frozen_blocks": 2})
    backbone, head = pretrainer.method.student.backbone, pretrainer.method.student.head
    sizes = [sum(tensor.numel() for tensor in part.parameters()) for part in (backbone.blocks[2], backbone.norm, head)]
    total = sum(tensor.numel() for tensor in backbone.parameters())
    line = f"trained parameters: {sizes[0] + sizes[1]:,} of {total:,} of the backbone, {sizes[2]:,} of {sizes[2]:,} of"
    assert line in caplog.text


def test_freezing_everything_is_one_line(continue_training):
    with pytest.raises(UserError, match="frozen_blocks 3 freezes the whole backbone, which has 3 blocks: lower it"):
        continue_training({"frozen_blocks": 3})


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ({"patch_size": 2}, "has patches of 4 px, the backbone of 2 px: set patch_size: 4 in backbone_args"),
        ({"reg_tokens": 0}, "does not fit backbone vit_tiny_patch16_224 .*set `backbone` and `backbone_args` of that"),
        ({"init_values": 1e-5}, "does not fit backbone vit_tiny_patch16_224"),
    ],
)
def test_another_structure_than_that_of_the_encoder_is_one_line(trained, make_pretrainer, other, line):
    arguments = VIT["backbone_args"] | other
    with pytest.raises(UserError, match=line):
        make_pretrainer(init=trained(**VIT), continued={}, backbone=VIT["backbone"], backbone_args=arguments)


def test_adapters_without_peft_or_linear_layers_are_one_line(continue_training, monkeypatch):
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "peft", None)
        with pytest.raises(UserError, match="lora needs the package peft: run `pip install"):
            continue_training({"lora": {}})
    pytest.importorskip("peft", reason="peft is not installed")
    with pytest.raises(UserError, match="lora: SmallImageResNet has no linear layers in its blocks"):
        continue_training({"lora": {}}, RESNET)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"continued": {}}, "pretraining: continued: there is no encoder to continue: set init, or remove continued"),
        ({"init": "theirs", "continued": {"head_epochs": 9}, "epochs": 9}, "head_epochs 9 leaves none of the 9 epochs"),
        ({"init": "theirs", "continued": {"layer_decay": 1.5}}, "pretraining.continued.layer_decay = 1.5"),
        ({"init": "theirs", "continued": {"lora": {"r": 4}}}, "unknown key pretraining.continued.lora.r"),
    ],
)
def test_settings_that_make_no_sense_are_one_line(keys, line):
    study = {"run": "s", "datasets": {"d": {"kind": "folder", "path": "p"}}, "encoders": {"theirs": {"path": "e"}}}
    with pytest.raises(UserError, match=line) as error:
        load_study(study | {"pretraining": {"dataset": "d"} | keys})
    assert "\n" not in str(error.value)


def test_an_arm_inherits_and_overrides_continued_pretraining_key_by_key():
    study = {"run": "s", "datasets": {"d": {"kind": "folder", "path": "p"}}, "encoders": {"theirs": {"path": "e"}}}
    study["pretraining"] = {"dataset": "d", "init": "theirs", "continued": {"frozen_blocks": 4, "layer_decay": 0.8}}
    arms = {"more": {"continued": {"frozen_blocks": 2}}, "scratch": {"init": None, "continued": None}}
    arms = load_study(study | {"retraining": arms}).retraining
    assert (arms["more"].continued.frozen_blocks, arms["more"].continued.layer_decay) == (2, 0.8)
    assert arms["scratch"].continued is None
