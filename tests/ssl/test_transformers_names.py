"""Weights of transformers' DINOv2 models are read as those of the same model in timm."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from gensis.ssl.found_weights import find_weights

SIZES = {"img_size": 28, "embed_dim": 24, "depth": 2, "num_heads": 2}
MODELS = {
    "layer scale, as Phikon-v2": ("vit_small_patch14_dinov2", {}),
    "registers": ("vit_small_patch14_reg4_dinov2", {}),
    "packed SwiGLU": ("vit_giant_patch14_dinov2", {"mlp_ratio": 16 / 3}),
}


def of_transformers(kind):
    """The model of transformers with random weights."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    name = "Dinov2WithRegisters" if kind == "registers" else "Dinov2"
    config = getattr(transformers, f"{name}Config")(**sizes, use_swiglu_ffn=kind == "packed SwiGLU")
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}Model")(config).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("kind", MODELS)
def test_timm_gives_the_class_token_of_transformers(tmp_path, kind):
    theirs = of_transformers(kind)
    theirs.save_pretrained(tmp_path)
    name, arguments = MODELS[kind]
    ours = timm.create_model(name, num_classes=0, **SIZES, **arguments).eval()
    ours.load_state_dict(find_weights(tmp_path / "model.safetensors", ours.state_dict(), name))
    images = torch.randn(2, 3, 28, 28)
    torch.testing.assert_close(ours(images), theirs(images).pooler_output, atol=1e-5, rtol=1e-5)


def test_the_names_in_published_files_are_found(tmp_path):
    """Names as in owkin/phikon-v2's model.safetensors, whatever version of transformers is installed."""
    ours = timm.create_model("vit_small_patch14_dinov2", num_classes=0, **SIZES)
    state = ours.state_dict()
    published = {
        "embeddings.cls_token": state["cls_token"],
        "embeddings.mask_token": torch.zeros(1, 24),
        "embeddings.position_embeddings": state["pos_embed"],
        "embeddings.patch_embeddings.projection.weight": state["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": state["patch_embed.proj.bias"],
        "layernorm.weight": state["norm.weight"],
        "layernorm.bias": state["norm.bias"],
    }
    for block in range(2):
        there, here = f"encoder.layer.{block}", f"blocks.{block}"
        for kind in ("weight", "bias"):
            parts = state[f"{here}.attn.qkv.{kind}"].chunk(3)
            for part, tensor in zip(("query", "key", "value"), parts):
                published[f"{there}.attention.attention.{part}.{kind}"] = tensor.clone()
            published[f"{there}.attention.output.dense.{kind}"] = state[f"{here}.attn.proj.{kind}"]
            for same in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
                published[f"{there}.{same}.{kind}"] = state[f"{here}.{same}.{kind}"]
        for number in (1, 2):
            published[f"{there}.layer_scale{number}.lambda1"] = state[f"{here}.ls{number}.gamma"]
    save_file(published, tmp_path / "model.safetensors")
    found = find_weights(tmp_path / "model.safetensors", state, "vit_small_patch14_dinov2")
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)
