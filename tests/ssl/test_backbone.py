import json

import pytest
import timm
import torch

from gensis.errors import UserError
from gensis.ssl.backbone import create_backbone, load_encoder, save_encoder

TINY_VIT = ("vit_tiny_patch16_224", {"patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2})
TINY_RESNET = ("resnet10t", {})


@pytest.mark.parametrize(("name", "arguments"), [TINY_VIT, TINY_RESNET], ids=["transformer", "convnet"])
def test_a_saved_encoder_loads_through_timm_with_its_own_weights_and_preprocessing(tmp_path, name, arguments):
    torch.manual_seed(0)
    backbone, made_with = create_backbone(name, 32, arguments, drop_path=0.1)
    backbone.eval()
    save_encoder(backbone, tmp_path, name, made_with, 32, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, num_classes=0).eval()
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(loaded(images), backbone(images), atol=0, rtol=0)
    data = timm.data.resolve_model_data_config(loaded)
    found = [tuple(data[key]) for key in ("input_size", "mean", "std")]
    assert found == [(3, 32, 32), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)]
    assert "license" not in json.loads((tmp_path / "config.json").read_text())["pretrained_cfg"]


def test_the_encoder_preprocesses_by_itself(tmp_path):
    name, arguments = TINY_VIT
    backbone, made_with = create_backbone(name, 16, arguments)
    backbone.eval()
    save_encoder(backbone, tmp_path, name, made_with, 16, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    expected = backbone((images / 255 - 0.5) / 0.25)
    torch.testing.assert_close(load_encoder(tmp_path)(images), expected)
    assert load_encoder(tmp_path)(torch.zeros(1, 3, 50, 40, dtype=torch.uint8)).shape == (1, 24)


def test_what_timm_does_not_have_or_take_is_one_line(tmp_path):
    with pytest.raises(UserError, match="timm has no model 'vit_gigantic'"):
        create_backbone("vit_gigantic", 32, {})
    with pytest.raises(UserError, match="does not take"):
        create_backbone("resnet10t", 32, {"no_such_argument": 1})
    with pytest.raises(UserError, match="holds no encoder"):
        load_encoder(tmp_path)
