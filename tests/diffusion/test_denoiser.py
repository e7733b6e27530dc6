import pytest
import torch
from diffusers.models.unets.unet_2d_blocks import AttnDownBlock2D, AttnUpBlock2D
from pydantic import ValidationError

from gensis.diffusion.denoiser import create_denoiser, norm_groups
from gensis.settings.diffusion import Diffusion


@pytest.mark.parametrize("levels", [0, 1, 2, 5])
def test_attention_stands_in_the_coarsest_levels_of_both_halves(levels):
    settings = Diffusion(channels=(8, 8, 16), layers_per_block=1, attention_levels=levels)
    denoiser = create_denoiser(settings, (3, 16, 16), 5)
    down = [isinstance(block, AttnDownBlock2D) for block in denoiser.down_blocks]
    up = [isinstance(block, AttnUpBlock2D) for block in denoiser.up_blocks]
    expected = [False] * (3 - min(levels, 3)) + [True] * min(levels, 3)
    assert down == expected
    assert up == expected[::-1]


def test_every_weight_learns_from_a_condition():
    denoiser = create_denoiser(Diffusion(channels=(8, 16), layers_per_block=1), (4, 8, 8), 5)
    output = denoiser(torch.randn(2, 4, 8, 8), torch.tensor([10, 900]), None, class_labels=torch.randn(2, 5)).sample
    output.square().mean().backward()
    assert output.shape == (2, 4, 8, 8)
    assert [name for name, weight in denoiser.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("channels", [(8, 16), (24, 40), (32, 64, 64), (128, 256, 256)])
def test_norm_groups_divide_all_channels_and_hold_at_least_four(channels):
    groups = norm_groups(channels)
    assert all(count % groups == 0 and count // groups >= 4 for count in channels)


def test_channels_are_multiples_of_eight():
    with pytest.raises(ValidationError, match="multiple of 8"):
        Diffusion(channels=(12, 16))
