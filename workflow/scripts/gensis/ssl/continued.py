"""Continued pre-training: preprocessing, frozen blocks, learning rates by layer, and adapters of a timm backbone."""

import logging
from pathlib import Path
from typing import Any

from safetensors import safe_open
from timm.models import group_parameters
from torch import nn

from gensis.artifacts.files import read_json
from gensis.errors import UserError
from gensis.images.reading import Images, channel_statistics
from gensis.settings.continued import Continued, LoRA
from gensis.settings.pretraining import Pretraining
from gensis.ssl.preprocessing import Preprocessing

log = logging.getLogger(__name__)


def layers_of(backbone: nn.Module) -> dict[str, int]:
    """Number of the layer that each parameter belongs to, by its name, in timm's order.

    0 is everything before the first block; the last layer is the last block with the final norm, or, if there is one, a
    norm after pooling.

    Raises:
        UserError: timm states no order of the layers.
    """
    if not hasattr(backbone, "group_matcher"):
        raise UserError(f"continued: timm states no order of layers for {type(backbone).__name__}: remove `continued`")
    return group_parameters(backbone, backbone.group_matcher(coarse=False), reverse=True)


def check_patches(backbone: nn.Module, encoder: Path) -> None:
    """Refuse another patch size than that of the encoder that is continued, to which timm would resample its weights.

    Args:
        backbone: the model that is trained.
        encoder: folder of the encoder.
    """
    name = "patch_embed.proj.weight"
    with safe_open(encoder / "model.safetensors", framework="pt") as file:
        wanted = file.get_slice(name).get_shape()[-1] if name in file.keys() else None  # noqa: SIM118
    given = dict(backbone.named_parameters()).get(name)
    if wanted and given is not None and given.shape[-1] != wanted:
        raise UserError(
            f"continued: {encoder} has patches of {wanted} px, the backbone of {given.shape[-1]} px: "
            f"set patch_size: {wanted} in backbone_args"
        )


def freeze(backbone: nn.Module, blocks: int) -> None:
    """Take the first ``blocks`` blocks, and what comes before them, out of the training.

    Raises:
        UserError: nothing is left to train.
    """
    if not blocks:
        return
    layers = layers_of(backbone)
    last = max(layers.values())
    if blocks >= last:
        raise UserError(
            f"continued.frozen_blocks {blocks} freezes the whole backbone, which has {last} blocks: lower it"
        )
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(layers[name] > blocks)


def add_lora(backbone: nn.Module, lora: LoRA, frozen_blocks: int) -> Any:
    """Put adapters around the linear layers after the frozen blocks, in place; nothing else of the backbone is trained.

    Their initial output is 0. The first matrix is drawn with torch's global generator.

    Returns:
        peft's `LoraModel`, whose `merge_and_unload` adds the adapters to the weights and removes them.

    Raises:
        UserError: peft is not installed, or there is no linear layer.
    """
    try:
        from peft import LoraConfig, LoraModel
    except ImportError as error:
        fix = "run `pip install -r envs/requirements-lora.txt`, or remove lora"
        raise UserError(f"continued.lora needs the package peft: {fix}") from error
    layers = layers_of(backbone)
    linear = [name for name, module in backbone.named_modules() if isinstance(module, nn.Linear)]
    targets = [name for name in linear if layers[f"{name}.weight"] > frozen_blocks]
    if not targets:
        raise UserError(
            f"continued.lora: {type(backbone).__name__} has no linear layers in its blocks: remove lora, or choose a "
            "transformer"
        )
    return LoraModel(backbone, LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=targets), "default")


def prepare(backbone: nn.Module, continued: Continued) -> None:
    """Freeze the blocks of a backbone and add the adapters, in place."""
    freeze(backbone, continued.frozen_blocks)
    if continued.lora:
        add_lora(backbone, continued.lora, continued.frozen_blocks)


def load_merged(backbone: nn.Module, weights: dict[str, Any], continued: Continued | None) -> None:
    """Load the weights of a backbone that `prepare` changed into a plain one, with its adapters merged."""
    if not continued or not continued.lora:
        backbone.load_state_dict(weights)
        return
    adapted = add_lora(backbone, continued.lora, continued.frozen_blocks)
    backbone.load_state_dict(weights)
    adapted.merge_and_unload()


def learning_rate_scales(backbone: nn.Module, layer_decay: float) -> dict[str, float]:
    """Factor of the learning rate of each parameter by its name, as in timm's `param_groups_layer_decay`.

    It is 1 in the last layer, ``layer_decay`` in the one before, and so on.
    """
    layers = layers_of(backbone)
    return {name: layer_decay ** (max(layers.values()) - layer) for name, layer in layers.items()}


def preprocessing_for_training(settings: Pretraining, images: Images, init: Path | None) -> Preprocessing:
    """Preprocessing of the encoder that a training publishes; its mean and standard deviation are those of training.

    Args:
        settings: of the training.
        images: its images, whose statistics are used.
        init: folder of the encoder that it starts from, whose values are used instead in continued pre-training.
    """
    size_px = (settings.image_px,) * 2
    if not settings.continued:
        return Preprocessing(size_px, *channel_statistics(images))
    described = read_json(init / "config.json")["pretrained_cfg"]
    mean, std = tuple(described["mean"]), tuple(described["std"])
    return Preprocessing(size_px, mean, std, interpolation=described["interpolation"])


class Freezing:
    """Keeps what does not learn as it is, step by step: frozen blocks always, and at first the whole backbone."""

    def __init__(self, networks: list[nn.Module], continued: Continued | None, steps_per_epoch: int):
        """Log how much is trained.

        Args:
            networks: the student first, each a backbone with a head; their frozen parameters need no gradients already.
            continued: what is frozen; None: nothing.
            steps_per_epoch: of the training.
        """
        self._networks, self._frozen, self._head_steps = networks, (), 0
        if continued:
            self._frozen = tuple(name for name, module in networks[0].backbone.named_modules() if _is_frozen(module))
            self._head_steps = continued.head_epochs * steps_per_epoch
            log.info("trained parameters: %s of the backbone, %s of the head", *map(_trained, networks[0].children()))

    def begin_step(self, step: int) -> None:
        """Put what is frozen in eval mode: stochastic depth is off, and BatchNorm keeps its statistics."""
        for network in self._networks:
            network.keep_in_eval_mode(("",) if step < self._head_steps else self._frozen)

    def before_update(self, step: int) -> None:
        """Drop the gradients of the backbone while only the head is trained.

        Parameters that need no gradients at first and later do would not be averaged over several processes.
        """
        if step < self._head_steps:
            for parameter in self._networks[0].backbone.parameters():
                parameter.grad = None


def _is_frozen(module: nn.Module) -> bool:
    """Whether a module has parameters, and none of them is trained."""
    trained = [parameter.requires_grad for parameter in module.parameters()]
    return bool(trained) and not any(trained)


def _trained(part: nn.Module) -> str:
    """Numbers of trained and of all parameters."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in part.parameters()]
    return f"{sum(size for size, is_trained in sizes if is_trained):,} of {sum(size for size, _ in sizes):,}"
