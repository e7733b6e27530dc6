"""Speeds up the last block of a transformer with class token pooling: the outputs of other tokens are not used."""

import torch
from timm.layers import Attention
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn
from torch.nn import functional as F


class ClassTokenBlock(Block):
    """A block that returns only the first token: (B, N, D) to (B, 1, D).

    Of the other tokens it computes only keys and values, a sixth of a block's multiplications. Output, gradients and
    random draws of stochastic depth are those of the whole block.
    """

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, 1, D) of (B, N, D)."""
        first = tokens[:, :1]
        first = first + self.drop_path1(self.ls1(_attention(self.attn, self.norm1(tokens))))
        return first + self.drop_path2(self.ls2(self.mlp(self.norm2(first))))


def class_token_only(backbone: nn.Module) -> nn.Module:
    """Let the last block of timm's plain vision transformers compute only the class token, in place.

    Parameters and their names do not change; `forward_features` then returns only the class token. Models with other
    pooling or other blocks are not changed.
    """
    if type(backbone) is VisionTransformer and backbone.global_pool == "token" and backbone.attn_pool is None:
        last = backbone.blocks[-1]
        if type(last) is Block and type(last.attn) is Attention:
            last.__class__ = ClassTokenBlock
    return backbone


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
