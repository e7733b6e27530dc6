import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from timm.models._features import FeatureGetterNet
from torchvision.transforms.v2.functional import pil_to_tensor

import gensis
from gensis.artifacts.folders import write_provenance
from gensis.errors import UserError
from gensis.ssl.any_size import AnySize
from gensis.ssl.backbone import Encoder, LastBlocks, create_backbone, load_encoder, save_encoder
from gensis.ssl.preprocessing import Preprocessing

TINY_VIT = ("vit_tiny_patch16_224", {"patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2})
TINY_RESNET = ("resnet10t", {})
TINY_CIFAR_RESNET = ("resnet18_cifar", {"channels": (8, 8, 16, 16)})
GREY = Preprocessing((16, 16), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [TINY_VIT, TINY_RESNET, TINY_CIFAR_RESNET],
    ids=["transformer", "convnet", "small-stem"],
)
def test_timm_loads_a_saved_encoder_with_its_weights_and_preprocessing(tmp_path, name, arguments):
    torch.manual_seed(0)
    backbone, made_with = create_backbone(name, 32, arguments, drop_path=0.1)
    backbone.eval()
    save_encoder(
        backbone,
        tmp_path,
        name=name,
        arguments=made_with,
        preprocessing=Preprocessing((32, 32), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
    )
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, num_classes=0).eval()
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(loaded(images), backbone(images), atol=0, rtol=0)
    data = timm.data.resolve_model_data_config(loaded)
    found = [tuple(data[key]) for key in ("input_size", "mean", "std")]
    assert found == [(3, 32, 32), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)]
    assert "license" not in json.loads((tmp_path / "config.json").read_text())["pretrained_cfg"]


def test_an_encoder_with_a_flipped_bit_in_its_weights_is_refused(tmp_path):
    name, arguments = TINY_VIT
    backbone, made_with = create_backbone(name, 16, arguments, drop_path=0.0)
    save_encoder(backbone, tmp_path, name=name, arguments=made_with, preprocessing=GREY)
    write_provenance(tmp_path, {})
    load_encoder(tmp_path)
    weights = tmp_path / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match=f"{weights} is damaged"):
        load_encoder(tmp_path)


def test_images_that_do_not_divide_into_patches_are_refused():
    with pytest.raises(UserError, match=r"image_px 56 is not a multiple of the patch size 16 of backbone vit"):
        create_backbone("vit_tiny_patch16_224", 56, {"depth": 1})
    create_backbone("vit_tiny_patch16_224", 56, {"depth": 1, "patch_size": 8})


def test_a_loaded_encoder_preprocesses_its_images(tmp_path):
    name, arguments = TINY_VIT
    backbone, made_with = create_backbone(name, 16, arguments)
    backbone.eval()
    save_encoder(backbone, tmp_path, name=name, arguments=made_with, preprocessing=GREY)
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    expected = backbone((images / 255 - 0.5) / 0.25)
    torch.testing.assert_close(load_encoder(tmp_path)(images), expected)
    assert load_encoder(tmp_path)(torch.zeros(1, 3, 50, 40, dtype=torch.uint8)).shape == (1, 24)


def test_last_blocks_are_normalised_class_tokens_and_end_with_the_embedding():
    name, arguments = TINY_VIT
    encoder = Encoder(create_backbone(name, 16, arguments | {"depth": 3, "reg_tokens": 2})[0], GREY)
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    outputs = []
    for block in encoder.backbone.blocks:
        block.register_forward_hook(lambda _, __, output: outputs.append(output))
    whole = encoder(images)
    expected = [encoder.backbone.norm(output)[:, 0] for output in outputs]
    torch.testing.assert_close(LastBlocks(encoder, 2)(images), torch.cat(expected[1:], 1))
    torch.testing.assert_close(LastBlocks(encoder, 4)(images), torch.cat(expected, 1))
    torch.testing.assert_close(expected[-1], whole)


def test_last_blocks_of_a_network_without_class_token_are_its_embedding():
    encoder = Encoder(create_backbone(TINY_RESNET[0], 32, TINY_RESNET[1])[0], GREY)
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    torch.testing.assert_close(LastBlocks(encoder, 4)(images), encoder(images))


def test_patch_tokens_are_the_normalised_output_of_the_last_block_by_place():
    name, arguments = TINY_VIT
    encoder = Encoder(create_backbone(name, 16, arguments | {"reg_tokens": 2})[0], replace(GREY, size_px=(8, 16)))
    outputs = []
    encoder.backbone.blocks[-1].register_forward_hook(lambda _, __, output: outputs.append(output))
    images = torch.randint(0, 256, (3, 3, 8, 16), dtype=torch.uint8)
    embedding, tokens = encoder.with_patch_tokens(images)
    patches = encoder.backbone.norm(outputs[0])[:, 3:]  # without a class token and two registers
    torch.testing.assert_close(tokens, torch.stack([patches[:, :4], patches[:, 4:]], dim=1))
    torch.testing.assert_close(encoder.patch_tokens(images), tokens)
    torch.testing.assert_close(embedding, encoder(images))


@pytest.mark.parametrize("model", [TINY_VIT, TINY_RESNET, TINY_CIFAR_RESNET], ids=["vit", "resnet", "cifar"])
def test_patch_tokens_are_timms_last_intermediate_features(model):
    encoder = Encoder(create_backbone(model[0], 64, model[1])[0], replace(GREY, size_px=(64, 64)))
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    of_timm = FeatureGetterNet(encoder.backbone, out_indices=1, norm=True)
    expected = of_timm(encoder.preprocess(images))[-1]
    torch.testing.assert_close(encoder.patch_tokens(images).permute(0, 3, 1, 2), expected)
    torch.testing.assert_close(encoder.with_patch_tokens(images)[0], encoder(images))


def test_a_transformer_of_one_size_gives_the_patch_tokens_of_one_of_any_size():
    of_any, _ = create_backbone(TINY_VIT[0], 16, TINY_VIT[1])
    of_one = timm.create_model(TINY_VIT[0], img_size=16, num_classes=0, **TINY_VIT[1])
    of_one.load_state_dict(of_any.state_dict())
    images = torch.randint(0, 256, (2, 3, 26, 35), dtype=torch.uint8)
    expected = Encoder(of_any, replace(GREY, size_px=(24, 32))).with_patch_tokens(images[:, :, :24, :32])
    assert expected[1].shape == (2, 6, 8, 24)
    encoder = AnySize(Encoder(of_one, GREY))
    assert encoder.patch_px == 4
    torch.testing.assert_close(encoder(images), expected)
    torch.testing.assert_close(encoder(images.float()), expected)


def test_a_network_of_one_size_refuses_others_in_one_line():
    mixer = AnySize(Encoder(create_backbone("mixer_s16_224", 32, {})[0], GREY))
    with pytest.raises(UserError, match="MlpMixer takes no images of 48 x 32 px"):
        mixer(torch.zeros(1, 3, 32, 48))


def test_the_readmes_code_embeds_images_and_loads_the_encoder_with_timm(tmp_path, monkeypatch):
    torch.manual_seed(0)
    name, arguments = TINY_CIFAR_RESNET
    backbone, made_with = create_backbone(name, 16, arguments)
    save_encoder(
        backbone.eval(),
        tmp_path / "results/demo/encoders/gen-dino/seed0",
        name=name,
        arguments=made_with,
        preprocessing=GREY,
    )
    Image.linear_gradient("L").resize((16, 16)).save(tmp_path / "a.png")
    Image.new("RGB", (40, 20), "navy").save(tmp_path / "b.png")
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    embed, through_timm = {}, {}
    exec(programs[0], embed)
    exec(programs[1], through_timm)
    pixels = pil_to_tensor(Image.open("a.png").convert("RGB"))[None] / 255
    expected = through_timm["encoder"].eval()((pixels - 0.5) / 0.25)[0]
    torch.testing.assert_close(embed["embeddings"][0], expected)
    assert embed["embeddings"][1].shape == (16,)


def test_unknown_models_arguments_and_folders_are_one_line(tmp_path):
    with pytest.raises(UserError, match="timm has no model 'vit_gigantic'"):
        create_backbone("vit_gigantic", 32, {})
    with pytest.raises(UserError, match="does not accept"):
        create_backbone("resnet10t", 32, {"no_such_argument": 1})
    with pytest.raises(UserError, match="has no encoder"):
        load_encoder(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(UserError, match=r"has no encoder \(config.json"):
        gensis.load_encoder(str(tmp_path))
