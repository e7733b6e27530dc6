"""Encoders that many laboratories use, with their structure but random weights and small sizes: imported as
docs/inputs.md says, trained on for two steps, published, loaded by timm, and embedded."""

import json
from argparse import Namespace

import pytest
import timm
import torch
from timm.layers import SwiGLUPacked
from torch import nn

import import_encoder
from gensis.errors import UserError
from gensis.ssl.backbone import load_encoder, save_encoder
from gensis.training.loop import step_seed

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
BIOPTIMUS = {"mean": [0.707223, 0.578729, 0.703617], "std": [0.211883, 0.230117, 0.177517]}
SWIGLU = {"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU}
SMALL = {"embed_dim": 24, "depth": 3, "num_heads": 2}
SQUARED = {"init_values": 1e-5, "no_embed_class": True, "mlp_ratio": 2.66667 * 2}

# Architecture and arguments of the model card, those of docs/inputs.md, its patch size and registers, and the
# preprocessing. Width, depth and heads are those of SMALL, and images have 2 x 2 patches.
KNOWN = {
    "UNI": (
        ("vit_large_patch16_224", {"init_values": 1e-5, "dynamic_img_size": True}),
        ("vit_large_patch16_224", {"init_values": 1e-5, "dynamic_img_size": True}),
        (16, 0, IMAGENET),
    ),
    "UNI2-h": (
        ("vit_giant_patch14_224", {**SWIGLU, **SQUARED, "patch_size": 14, "reg_tokens": 8, "dynamic_img_size": True}),
        ("vit_giant_patch14_reg4_dinov2", {"reg_tokens": 8, "dynamic_img_size": True}),
        (14, 8, IMAGENET),
    ),
    "Virchow2": (
        ("vit_huge_patch14_224", {**SWIGLU, "init_values": 1e-5, "reg_tokens": 4, "mlp_ratio": 5.3375}),
        ("vit_giant_patch14_reg4_dinov2", {"mlp_ratio": 5.3375, "no_embed_class": False}),
        (14, 4, IMAGENET),
    ),
    "H-optimus-0": (
        ("vit_giant_patch14_reg4_dinov2", {"init_values": 1e-5, "dynamic_img_size": False}),
        ("vit_giant_patch14_reg4_dinov2", {"init_values": 1e-5, "dynamic_img_size": False}),
        (14, 4, BIOPTIMUS),
    ),
    "Phikon-v2": (  # published for transformers, whose names test_transformers_names.py covers
        ("vit_large_patch16_224", {"init_values": 1.0}),
        ("vit_large_patch16_224", {"init_values": 1.0}),
        (16, 0, IMAGENET),
    ),
    "DINOv2": (
        ("vit_small_patch14_dinov2", {}),
        ("vit_small_patch14_dinov2", {}),
        (14, 0, IMAGENET),
    ),
    "DINOv2 with registers": (
        ("vit_small_patch14_reg4_dinov2", {}),
        ("vit_small_patch14_reg4_dinov2", {}),
        (14, 4, IMAGENET),
    ),
}


@pytest.fixture
def published(tmp_path):
    """Function that writes a model as its authors publish it, with the config.json of docs/inputs.md; the model."""

    def write(name, **changes):
        (of_card, arguments), (architecture, documented), (patch_px, _, preprocessing) = KNOWN[name]
        torch.manual_seed(0)
        size = SMALL | {"img_size": 2 * patch_px}
        model = timm.create_model(of_card, num_classes=0, **(arguments | size)).eval()
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        folder = tmp_path / "published"
        folder.mkdir()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
        described = {"input_size": [3, 2 * patch_px, 2 * patch_px], "interpolation": "bicubic", "crop_pct": 1.0}
        config = {
            "architecture": architecture,
            "model_args": documented | size | changes,
            "pretrained_cfg": described | preprocessing | {"num_classes": 0},
        }
        (folder / "config.json").write_text(json.dumps(config))
        return model

    return write


def import_published(tmp_path):
    config = {"path": "published"}
    arguments = {"config": config, "path": tmp_path / "published", "output": tmp_path / "theirs"}
    import_encoder.main(Namespace(**arguments, threads=1, started=0.0))
    return load_encoder(tmp_path / "theirs")


def normalised(images, preprocessing):
    mean, std = (torch.tensor(preprocessing[name]).view(3, 1, 1) for name in ("mean", "std"))
    return (images / 255 - mean) / std


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_encoder_is_imported_trained_on_published_and_loaded_by_timm(
    published, make_pretrainer, tmp_path, name
):
    _, (architecture, documented), (patch_px, registers, preprocessing) = KNOWN[name]
    model = published(name)
    images = torch.randint(0, 256, (2, 3, 2 * patch_px, 2 * patch_px), dtype=torch.uint8)
    of_authors = model(normalised(images, preprocessing))
    encoder = import_published(tmp_path)
    torch.testing.assert_close(encoder(images), of_authors, atol=1e-4, rtol=1e-4)

    pretrainer = make_pretrainer(
        init=tmp_path / "theirs",
        continued={"frozen_blocks": 1, "layer_decay": 0.9},
        backbone=architecture,
        backbone_args=documented | SMALL,
        image_px=2 * patch_px,
        views={"local_crops": 1, "local_px": patch_px},
        learning_rate=0.001,
    )
    for step in range(2):
        torch.manual_seed(step_seed(0, step))
        pretrainer.step(step)
    save_encoder(
        pretrainer.encoder(),
        tmp_path / "out",
        name=architecture,
        arguments=pretrainer.backbone_args,
        preprocessing=pretrainer.preprocessing,
    )

    loaded = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True, num_classes=0).eval()
    before, after = model.state_dict(), loaded.state_dict()
    assert {key: tensor.shape for key, tensor in before.items()} == {key: each.shape for key, each in after.items()}
    kept = [
        key for key in before if key.startswith(("blocks.0.", "patch_embed", "pos_embed", "cls_token", "reg_token"))
    ]
    assert all(torch.equal(before[key], after[key]) for key in kept)
    assert not torch.equal(before["blocks.2.mlp.fc1.weight"], after["blocks.2.mlp.fc1.weight"])
    assert (loaded.patch_embed.patch_size, getattr(loaded, "num_reg_tokens", 0)) == ((patch_px,) * 2, registers)
    embedded = load_encoder(tmp_path / "out")(images)
    torch.testing.assert_close(embedded, loaded(normalised(images, preprocessing)), atol=1e-4, rtol=1e-4)


def test_an_encoder_of_another_image_size_is_resampled_by_timm(published, make_pretrainer, tmp_path):
    """DINOv2 was trained at 518 px: its position embedding is resampled to the images of the training."""
    published("DINOv2 with registers", img_size=28)
    import_published(tmp_path)
    pretrainer = make_pretrainer(
        init=tmp_path / "theirs",
        continued={},
        backbone="vit_small_patch14_reg4_dinov2",
        backbone_args=SMALL,
        image_px=42,
        views={"local_crops": 1, "local_px": 14},
    )
    expected = timm.layers.resample_abs_pos_embed(
        load_encoder(tmp_path / "theirs").backbone.pos_embed, (3, 3), num_prefix_tokens=0
    )
    torch.testing.assert_close(pretrainer.method.student.backbone.pos_embed.data, expected)


def test_an_encoder_that_returns_all_tokens_is_one_line(published, tmp_path):
    published("Virchow2", global_pool="")
    with pytest.raises(
        UserError, match=r"returns all tokens: set `global_pool`: token in model_args of its config.json"
    ):
        import_published(tmp_path)
