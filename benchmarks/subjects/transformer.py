"""A diffusion transformer to compare with the UNet: patches as tokens, conditioned in the norm of every block."""

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from torch import nn
from torch.nn import functional as F

FREQUENCIES = 256


class Block(nn.Module):
    """Attention and an MLP, each shifted, scaled and gated: adaLN-Zero (Peebles and Xie 2023)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, tokens: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Float (B, N, width) of tokens (B, N, width) and conditions (B, width)."""
        first, second = self.modulation(F.silu(condition)).unsqueeze(1).chunk(2, dim=2)
        tokens = tokens + _gated(tokens, first, self._attention)
        return tokens + _gated(tokens, second, self.perceptron)

    def _attention(self, tokens: torch.Tensor) -> torch.Tensor:
        query, key, value = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


def _gated(tokens: torch.Tensor, modulation: torch.Tensor, layer: nn.Module) -> torch.Tensor:
    shift, scale, gate = modulation.chunk(3, dim=2)
    return gate * layer(F.layer_norm(tokens, tokens.shape[2:]) * (1 + scale) + shift)


class Transformer(ModelMixin, ConfigMixin):
    """Has the call signature of the pipeline's UNet; its initial output is zero."""

    @register_to_config
    def __init__(
        self,
        sample_size: int,
        in_channels: int,
        patch: int,
        width: int,
        depth: int,
        projection_class_embeddings_input_dim: int,
        encoder_hid_dim: int | None = None,
    ):
        super().__init__()
        values = in_channels * patch**2
        self.patches = nn.Conv2d(in_channels, width, patch, patch)
        self.positions = nn.Parameter(torch.randn(1, (sample_size // patch) ** 2, width) * 0.02)
        self.frequencies = Timesteps(FREQUENCIES, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time = TimestepEmbedding(FREQUENCIES, width)
        self.condition = TimestepEmbedding(projection_class_embeddings_input_dim, width)
        self.blocks = nn.ModuleList(Block(width, max(width // 32, 1)) for _ in range(depth))
        self.modulation, self.out = nn.Linear(width, 2 * width), nn.Linear(width, values)
        for layer in (self.modulation, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, sample: torch.Tensor, timestep: torch.Tensor, encoder_hidden_states: None, class_labels: torch.Tensor
    ) -> UNet2DConditionOutput:
        """Same arguments and result as UNet2DConditionModel, which it replaces."""
        tokens = self.patches(sample)
        rows = tokens.shape[2]
        tokens = tokens.flatten(2).transpose(1, 2) + self.positions
        frequencies = self.frequencies(timestep.expand(len(sample))).to(sample.dtype)
        condition = self.time(frequencies) + self.condition(class_labels)
        for block in self.blocks:
            tokens = block(tokens, condition)
        shift, scale = self.modulation(F.silu(condition)).unsqueeze(1).chunk(2, dim=2)
        values = self.out(F.layer_norm(tokens, tokens.shape[2:]) * (1 + scale) + shift)
        patches = values.transpose(1, 2).unflatten(2, (rows, rows))
        return UNet2DConditionOutput(sample=F.pixel_shuffle(patches, self.config.patch))
