"""Speeds up the last block of transformers with class token pooling: the outputs of other tokens are not used."""

import copy

import torch
from timm.layers import Attention
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn
from torch.nn import functional as F


def class_token_only(backbone: nn.Module) -> nn.Module:
    """A model with the same weights whose last block computes only the class token.

    Its class token is that of the given model up to rounding, and its `forward_features` returns no other token: not
    for methods that use patch tokens. It takes about a twelfth less time at 12 blocks, and a fifth less at 4.

    Args:
        backbone: not changed, so patch tokens can still be had from it.

    Returns:
        A model with the parameters of the backbone, the same tensors under the same names. If the backbone is not one
        of timm's plain vision transformers, has other blocks or pools otherwise, it is returned itself.
    """
    if type(backbone) is not VisionTransformer or backbone.global_pool != "token" or backbone.attn_pool is not None:
        return backbone
    *blocks, last = backbone.blocks
    if type(last) is not Block or type(last.attn) is not Attention or type(last.attn.qkv) is not nn.Linear:
        return backbone
    result = copy.copy(backbone)
    result._modules = dict(backbone._modules)  # a shallow copy would replace the block in both
    result.blocks = nn.Sequential(*blocks, ClassTokenBlock(last))
    return result


class ClassTokenBlock(nn.Module):
    """A block that returns only the first token: (B, N, D) to (B, 1, D).

    Of the other tokens it computes only keys and values, a sixth of a block's multiplications. Output, gradients and
    random draws of stochastic depth are those of the whole block.
    """

    def __init__(self, whole: Block):
        """Share the layers of a whole block, under the same names."""
        super().__init__()
        for name, layer in whole.named_children():
            setattr(self, name, layer)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, 1, D) of (B, N, D)."""
        first = tokens[:, :1]
        first = first + self.drop_path1(self.ls1(_attention(self.attn, self.norm1(tokens))))
        return first + self.drop_path2(self.ls2(self.mlp(self.norm2(first))))


def _attention(attention: Attention, tokens: torch.Tensor) -> torch.Tensor:
    """Output of attention for the first token: (B, 1, D) of (B, N, D)."""
    first, width = tokens[:, :1], attention.attn_dim
    of_query, of_rest = attention.qkv.weight.split([width, 2 * width])
    biases = (None, None) if attention.qkv.bias is None else attention.qkv.bias.split([width, 2 * width])
    heads = (attention.num_heads, attention.head_dim)
    query = F.linear(first, of_query, biases[0]).unflatten(2, heads).transpose(1, 2)
    keys, values = F.linear(tokens, of_rest, biases[1]).unflatten(2, (2, *heads)).permute(2, 0, 3, 1, 4).unbind()
    query, keys = attention.q_norm(query), attention.k_norm(keys)
    dropout = attention.attn_drop.p if attention.training else 0.0
    output = F.scaled_dot_product_attention(query, keys, values, dropout_p=dropout)
    output = attention.norm(output.transpose(1, 2).flatten(2))
    if attention.gate is not None:
        output = output * attention.gate(first).sigmoid()
    return attention.proj_drop(attention.proj(output))
