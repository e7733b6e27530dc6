"""The denoiser: the network of the diffusion model, and how it takes the condition."""

from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name

from diffusers import ModelMixin

from gensis.settings.diffusion import Diffusion
from gensis.settings.registries import DENOISERS


@dataclass(frozen=True)
class Denoiser:
    """A kind of denoiser."""

    create: Callable[[Diffusion, tuple[int, int, int], int], ModelMixin]
    """Makes the network, with random weights, from the settings of the diffusion model, (channels, side, side) of its
    input, and the dimension of an embedding. The network is a model of diffusers, or similar: `config` has
    `sample_size` and `in_channels`, and `network(sample, timestep, **condition).sample` has the sample's shape."""
    condition: dict[str, str]
    """The network's arguments that take the condition; see `pipeline.condition_arguments`. Saved with the model."""


def find_denoiser(kind: str) -> Denoiser:
    """The denoiser with this name in DENOISERS."""
    return resolve_name(DENOISERS[kind])


def create_denoiser(settings: Diffusion, shape: tuple[int, int, int], embedding_width: int) -> ModelMixin:
    """The network of the settings' denoiser; see `Denoiser.create`."""
    return find_denoiser(settings.denoiser).create(settings, shape, embedding_width)
