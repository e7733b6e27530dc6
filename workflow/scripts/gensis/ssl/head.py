"""The projection head of DINO (Caron et al. 2021, arXiv 2104.14294, appendix C)."""

import torch
from torch import nn
from torch.nn import functional as F


class DINOHead(nn.Module):
    """Three-layer MLP to a bottleneck, L2 normalisation, and cosine similarity to K prototypes of unit norm."""

    def __init__(self, inputs: int, prototypes: int, hidden: int, bottleneck: int, batch_norm: bool):
        super().__init__()
        layers: list[nn.Module] = []
        for width in (inputs, hidden):
            layers += [nn.Linear(width, hidden), *([nn.BatchNorm1d(hidden)] if batch_norm else []), nn.GELU()]
        self.mlp = nn.Sequential(*layers, nn.Linear(hidden, bottleneck))
        for module in self.mlp:
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        # The direction part of a weight-normed layer whose gain is fixed at 1 (`norm_last_layer` of the original).
        # It is initialised like a linear layer: shorter vectors are turned more by an update of equal length.
        bound = bottleneck**-0.5
        self.prototypes = nn.Parameter(torch.empty(prototypes, bottleneck).uniform_(-bound, bound))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of features (B, D)."""
        return F.linear(F.normalize(self.mlp(features), dim=-1), F.normalize(self.prototypes, dim=-1))
