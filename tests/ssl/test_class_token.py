"""A backbone whose last block computes only the class token, compared with timm's own."""

import copy

import pytest
import timm
import torch

from gensis.ssl.class_token import ClassTokenBlock, class_token_only

SIZE = {"patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 2, "img_size": 16, "num_classes": 0}
KINDS = {
    "plain": {"dynamic_img_size": True},
    "stochastic": {"dynamic_img_size": True, "drop_path_rate": 0.5},
    "registers-scale-and-norms": {"reg_tokens": 3, "init_values": 0.1, "qk_norm": True, "scale_attn_norm": True},
    "no-bias": {"qkv_bias": False},
}


def made(**arguments):
    torch.manual_seed(0)
    backbone = timm.create_model("vit_tiny_patch16_224", **SIZE, **arguments)
    for parameter in backbone.parameters():  # initial zeros and ones would hide missing parts
        parameter.data += 0.1 * torch.randn_like(parameter)
    return backbone


@pytest.mark.parametrize("arguments", KINDS.values(), ids=KINDS)
def test_embeddings_and_gradients_equal_those_of_the_whole_block(arguments):
    whole = made(**arguments)
    ours = class_token_only(copy.deepcopy(whole))  # a copy, so that each has gradients of its own
    assert isinstance(ours.blocks[-1], ClassTokenBlock)
    assert ours.state_dict().keys() == whole.state_dict().keys()
    for px in (16, 8) if "dynamic_img_size" in arguments else (16,):
        views, towards = torch.randn(6, 3, px, px), torch.randn(6, 24)
        outputs = []
        for backbone in (whole, ours):
            torch.manual_seed(1)
            outputs.append(backbone(views))
            (outputs[-1] * towards).sum().backward()
        torch.testing.assert_close(outputs[1], outputs[0])
    gradients = [{name: one.grad for name, one in backbone.named_parameters()} for backbone in (ours, whole)]
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)


def test_the_given_backbone_keeps_its_patch_tokens_and_shares_its_weights():
    whole, views = made(), torch.randn(2, 3, 16, 16)
    before = whole.forward_features(views)
    ours = class_token_only(whole)
    assert ours.forward_features(views).shape == (2, 1, 24)
    assert torch.equal(whole.forward_features(views), before)
    assert before.shape == (2, 17, 24)
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in whole.named_parameters()]
    assert all(one is other for one, other in zip(ours.parameters(), whole.parameters()))


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "resnet10t"])
def test_models_with_other_pooling_are_returned_as_they_are(name):
    backbone = timm.create_model(name, num_classes=0, **({"global_pool": "avg"} if name.startswith("vit") else {}))
    assert class_token_only(backbone) is backbone
