"""External encoders: opened, imported into a run, and used to initialise a training."""

import math
import os
import re
from argparse import Namespace

import pytest
import timm
import torch
from huggingface_hub import constants
from PIL import Image
from torch.nn import functional as F

import import_encoder
from gensis.artifacts.files import content_id, quick_id, read_json
from gensis.errors import UserError
from gensis.settings.pretraining import Pretraining
from gensis.ssl.auto import resolve
from gensis.ssl.backbone import create_backbone, load_encoder, load_weights, save_encoder
from gensis.ssl.external import open_external
from gensis.ssl.method import method_class
from gensis.ssl.networks import create_backbones
from gensis.ssl.preprocessing import Preprocess, Preprocessing
from gensis.training.distributed import World

VIT = ("vit_tiny_patch16_224", {"patch_size": 8, "embed_dim": 24, "depth": 1, "num_heads": 2})
HALF = (0.5, 0.5, 0.5)
AS_PUBLISHED = {
    "input_size": (3, 32, 32),
    "mean": (0.1, 0.2, 0.3),
    "std": (0.4, 0.5, 0.6),
    "crop_pct": 0.9,
    "crop_mode": "center",
    "interpolation": "bilinear",
    "num_classes": 7,
}


@pytest.fixture
def published(tmp_path):
    """A classifier as timm saves it for its hub: the model and its folder."""
    torch.manual_seed(0)
    arguments = VIT[1] | {"img_size": 32, "num_classes": 7, "global_pool": "avg"}
    model = timm.create_model(VIT[0], pretrained_cfg_overlay=AS_PUBLISHED, **arguments).eval()
    timm.models.save_for_hf(model, tmp_path / "published", safe_serialization=True)
    return model, tmp_path / "published"


def import_into(folder, config, path=None):
    import_encoder.main(Namespace(config=config, path=path, output=folder, threads=1, started=0.0))
    return load_encoder(folder)


def by_timm(model, images):
    """Images after timm's own transform, float32 (B, 3, H, W)."""
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    return torch.stack([transform(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in images])


@pytest.mark.parametrize("crop_mode", ["squash", "center"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(32, 32), (24, 32)], ids=["square", "wide"])
def test_preprocessing_equals_timms_within_two_grey_levels(crop_mode, interpolation, size):
    values = AS_PUBLISHED | {"input_size": (3, *size), "crop_mode": crop_mode, "interpolation": interpolation}
    torch.manual_seed(0)
    # Smooth images: Pillow clips overshoots of noise between its two passes.
    images = F.interpolate(torch.rand(2, 3, 7, 5) * 255, (70, 50), mode="bilinear").to(torch.uint8)
    transform = timm.data.create_transform(**{key: value for key, value in values.items() if key != "num_classes"})
    expected = torch.stack([transform(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in images])
    prepare = Preprocess(
        Preprocessing(
            size, values["mean"], values["std"], interpolation=interpolation, crop_pct=0.9, crop_mode=crop_mode
        )
    )
    torch.testing.assert_close(prepare(images), expected, atol=2.01 / 255 / 0.4, rtol=0)


@pytest.mark.parametrize("crop_pct", [1.0, 0.95, 0.9, 0.875])
def test_the_shorter_side_is_resized_to_the_side_of_timm_whatever_the_size_of_an_image(crop_pct):
    preprocessing = Preprocessing((224, 224), HALF, HALF, crop_pct=crop_pct, crop_mode="center")
    target = math.floor(224 / crop_pct)
    for side in range(16, 1200):
        assert preprocessing.resized_px(side, side) == (target, target)
        assert preprocessing.resized_px(side, 2 * side) == (target, 2 * target)
        assert preprocessing.resized_px(2 * side, side) == (2 * target, target)


def test_images_of_the_right_size_are_only_normalised():
    torch.manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    torch.testing.assert_close(Preprocess(Preprocessing((16, 16), HALF, HALF))(images), images / 127.5 - 1)


def test_an_unsupported_interpolation_is_one_line():
    with pytest.raises(UserError, match="interpolation lanczos and crop_mode border: only bicubic, bilinear"):
        Preprocess(Preprocessing((16, 16), HALF, HALF, interpolation="lanczos", crop_pct=1.0, crop_mode="border"))


def test_an_imported_timm_folder_gives_timms_embeddings_and_records_its_source(published, tmp_path):
    model, folder = published
    images = torch.randint(0, 256, (3, 3, 50, 40), dtype=torch.uint8)
    encoder = import_into(tmp_path / "mine", {"path": "weights/of/mine"}, folder)
    prepared = by_timm(model, images)
    model.reset_classifier(0)
    torch.testing.assert_close(encoder(images), model(prepared), atol=0.02, rtol=0)
    torch.testing.assert_close(encoder.backbone(prepared), model(prepared), atol=0, rtol=0)
    record = read_json(tmp_path / "mine/provenance.json")
    weights = content_id(tmp_path / "mine/model.safetensors")
    assert (record["external_weights"], record["weights"]) == ({"weights/of/mine": weights}, weights)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_external_weights_that_are_not_finite_are_refused_by_name(published, tmp_path, value):
    model, folder = published
    model.blocks[0].mlp.fc1.weight.data[3, 5] = value
    timm.models.save_for_hf(model, folder, safe_serialization=True)
    with pytest.raises(UserError, match=f"{folder}: the weights blocks.0.mlp.fc1.weight are not finite"):
        open_external(None, folder)


def test_importing_an_encoder_of_another_run_copies_it_unchanged(tmp_path):
    backbone, made_with = create_backbone("resnet18_cifar", 16, {"channels": (8, 8, 16, 16)})
    save_encoder(
        backbone.eval(),
        tmp_path / "ours",
        name="resnet18_cifar",
        arguments=made_with,
        preprocessing=Preprocessing((16, 16), HALF, HALF),
    )
    import_into(tmp_path / "mine", {"path": "ours"}, tmp_path / "ours")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "mine" / name).read_bytes() == (tmp_path / "ours" / name).read_bytes()


def test_a_weight_file_is_loaded_into_the_named_architecture(tmp_path):
    torch.manual_seed(0)
    model = timm.create_model("resnet10t", num_classes=5).eval()
    torch.save({"state_dict": model.state_dict()}, tmp_path / "weights.pth")
    encoder = import_into(tmp_path / "mine", {"timm": "resnet10t"}, tmp_path / "weights.pth")
    model.reset_classifier(0)
    images = torch.randint(0, 256, (1, 3, 176, 176), dtype=torch.uint8)
    torch.testing.assert_close(encoder(images), model(encoder.preprocess(images)), atol=0, rtol=0)
    with pytest.raises(UserError, match=r"weights.pth lacks \d+ of the \d+ tensors of vit_tiny_patch16_224, such as"):
        open_external("vit_tiny_patch16_224", tmp_path / "weights.pth")
    with pytest.raises(UserError, match="does not name its architecture"):
        open_external(None, tmp_path / "weights.pth")
    (tmp_path / "weights.pth").write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"weights.pth is not a torch checkpoint .*: correct `path`") as error:
        open_external("resnet10t", tmp_path / "weights.pth")
    assert "\n" not in str(error.value)


def dino(state):
    """A checkpoint of facebookresearch/dino: another student, and the options of the training."""
    student = {f"module.backbone.{key}": torch.zeros_like(value) for key, value in state.items()}
    teacher = {f"backbone.{key}": value for key, value in state.items()}
    heads = {"head.mlp.0.weight": torch.zeros(2, 2)}
    return {"student": student | heads, "teacher": teacher | heads, "epoch": 3, "args": Namespace(arch="vit_tiny")}


def after(prefix):
    return lambda state: {"epoch": 3, "state_dict": {prefix + key: value for key, value in state.items()}}


CHECKPOINTS = {
    "dino": dino,
    "dinov2": lambda state: {
        "teacher": {"backbone." + re.sub(r"^blocks\.", "blocks.0.", key): value for key, value in state.items()}
    },
    "student alone": lambda state: {
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}},
        "student": {f"module.backbone.{key}": value for key, value in state.items()},
    },
    "lightning": after("model.backbone."),
    "lightly": lambda state: {
        "hyper_parameters": {"lr": 0.1},
        "state_dict": {f"student_backbone.{key}": value * 0 for key, value in state.items()}
        | {f"teacher_backbone.{key}": value for key, value in state.items()},
    },
    "average": lambda state: {"model": {key: value * 0 for key, value in state.items()}, "model_ema": state},
    "compiled": after("module._orig_mod.encoder."),
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_the_teacher_of_external_checkpoints_is_loaded(tmp_path, kind):
    torch.manual_seed(0)
    model = timm.create_model("resnet10t" if kind == "compiled" else "test_vit", num_classes=0).eval()
    torch.save(CHECKPOINTS[kind](model.state_dict()), tmp_path / "weights.pth")
    opened, *_ = open_external(model.default_cfg["architecture"], tmp_path / "weights.pth")
    for key, value in opened.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[key], atol=0, rtol=0)


def test_missing_batch_counts_of_old_files_are_ignored(tmp_path):
    model = timm.create_model("resnet10t", num_classes=0)
    old = {key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "weights.pth")
    opened, *_ = open_external("resnet10t", tmp_path / "weights.pth")
    torch.testing.assert_close(opened.state_dict()["bn1.weight"], old["bn1.weight"])


class Runs:
    """Runs a command if it is unpickled without restrictions."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_unsuitable_checkpoints_are_described_and_their_code_does_not_run(tmp_path):
    model = timm.create_model("test_vit", num_classes=0)
    state = {f"vit.{key}": value for key, value in model.state_dict().items()}
    del state["vit.pos_embed"]
    torch.save({"network": state, "head": {"weight": torch.zeros(1)}}, tmp_path / "weights.pth")
    line = rf"weights.pth lacks 1 of the {len(state) + 1} tensors of test_vit, such as network.vit.pos_embed; "
    line += rf"it has {len(state) + 1} other tensors, such as network\.vit\.\w+, head\.weight: correct"
    with pytest.raises(UserError, match=line):
        open_external("test_vit", tmp_path / "weights.pth")
    torch.save({"epoch": 3}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="it has no tensors"):
        open_external("test_vit", tmp_path / "weights.pth")
    torch.save({"state_dict": state, "callback": Runs(f"touch {tmp_path / 'run'}")}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"contains Python objects, whose code would run on loading \(posix.system\)"):
        open_external("test_vit", tmp_path / "weights.pth")
    assert not (tmp_path / "run").exists()
    larger = timm.create_model("test_vit", num_classes=0, img_size=320)
    torch.save(larger.state_dict(), tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"weights.pth does not fit test_vit .*size mismatch for pos_embed"):
        open_external("test_vit", tmp_path / "weights.pth")


def test_weights_that_cannot_be_downloaded_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("vit_tiny_patch16_224.augreg_in21k_ft_in1k", "hf-hub:nobody/nothing"):
        with pytest.raises(UserError, match=f"the weights of {name} cannot be downloaded .*set their folder") as error:
            open_external(name, None)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"timm has no weights called vit_tiny_patch16_224.by_nobody"):
        open_external("vit_tiny_patch16_224.by_nobody", None)


def test_init_loads_the_weights_of_an_encoder_of_another_size(published, tmp_path):
    import_into(tmp_path / "mine", {"path": "mine"}, published[1])
    settings = {"dataset": "d", "backbone": VIT[0], "backbone_args": VIT[1] | {"global_pool": "avg"}, "image_px": 16}
    views = {"local_crops": 1, "local_px": 8}
    settings = Pretraining(**settings, views=views, dino={"prototypes": 4})
    backbones, _ = create_backbones(settings, init=tmp_path / "mine")
    method = method_class("dino")(resolve(settings, 100, 8, {}).settings, backbones, World())
    outside = published[0].state_dict()
    for network in (method.student, method.teacher):
        state = network.backbone.state_dict()
        torch.testing.assert_close(state["blocks.0.attn.qkv.weight"], outside["blocks.0.attn.qkv.weight"])
        assert state["pos_embed"].shape == (1, 5, 24)  # 2 x 2 patches of 8 px and the class token


def test_init_from_another_architecture_is_one_line(published, tmp_path):
    import_into(tmp_path / "mine", {"path": "mine"}, published[1])
    backbone, made_with = create_backbone("resnet10t", 32, {})
    with pytest.raises(UserError, match=r"init: .*mine \(vit_tiny_patch16_224 .* does not fit backbone resnet10t"):
        load_weights(backbone, "resnet10t", made_with, tmp_path / "mine")


def test_quick_ids_of_different_files_of_one_size_differ(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(bytes(5_000_000))
    two.write_bytes(bytes(4_999_999) + b"x")
    assert quick_id(one) != quick_id(two)
    two.write_bytes(bytes(5_000_000))
    assert quick_id(one) == quick_id(two)
    two.write_bytes(b"")
    assert quick_id(one) != quick_id(two)
