"""Continued pre-training: what of an encoder that is already trained learns on, and how fast."""

from typing import Annotated

from pydantic import Field

from gensis.settings.base import PositiveFloat, PositiveInt, Settings


class LoRA(Settings):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685), which are trained instead of the backbone's own weights and
    merged into them at the end. They need the package peft."""

    rank: PositiveInt = 8
    """Rank of an adapter; `r` in peft."""
    alpha: PositiveFloat = 16.0
    """The product of an adapter's two matrices is scaled by alpha / rank; `lora_alpha` in peft."""


class Continued(Settings):
    """Continued pre-training of the encoder that `init` names, with its preprocessing. `{}` trains all of it at one
    learning rate."""

    frozen_blocks: Annotated[int, Field(ge=0)] = 0
    """Number of blocks, from the first, that do not change, with all that comes before them: the patch embedding,
    position embedding, class token and registers of a transformer, or the stem of a convnet. Their BatchNorm keeps its
    statistics, and stochastic depth is off in them. 0: nothing is frozen."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Learning rate of a layer divided by that of the next, as in timm and BEiT: the last layer has `learning_rate`,
    the one before it this fraction, and so on to the patch embedding."""
    lora: LoRA | None = None
    """Train low-rank adapters in the linear layers of all blocks that are not frozen, and no other weights of the
    backbone. Empty: train the weights themselves."""
    head_epochs: Annotated[int, Field(ge=0)] = 0
    """Epochs at the start in which only the head is trained, whose weights are random at first."""
