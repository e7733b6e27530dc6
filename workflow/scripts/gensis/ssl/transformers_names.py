"""Tensors of transformers' DINOv2 models, such as Phikon-v2, under the names of timm's vision transformers."""

import re
from collections.abc import Mapping

import torch

_MARK = "attention.attention.query.weight"
_RENAMED = (
    (r"^(dinov2|dinov2_with_registers)\.", ""),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.register_tokens$", "reg_token"),
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^encoder\.layer\.", "blocks."),
    (r"^layernorm\.", "norm."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
    (r"\.mlp\.weights_in\.", ".mlp.fc1."),
    (r"\.mlp\.weights_out\.", ".mlp.fc2."),
)


def is_of_transformers(tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether the tensors are those of a DINOv2 model of transformers."""
    return any(name.endswith(_MARK) for name in tensors)


def as_in_timm(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors under timm's names.

    Queries, keys and values are one layer in timm. With registers, its position embedding is that of the patches alone,
    and the part of the class token is added to that token.
    """
    result: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if ".attention.attention." not in name:
            result[_renamed(name)] = tensor
        elif ".query." in name:
            parts = [tensors[name.replace("query", part)] for part in ("query", "key", "value")]
            result[_renamed(name.replace("attention.attention.query", "attn.qkv"))] = torch.cat(parts)
    if "reg_token" in result:
        positions = result["pos_embed"]
        result["cls_token"], result["pos_embed"] = result["cls_token"] + positions[:, :1], positions[:, 1:]
    return result


def _renamed(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name
