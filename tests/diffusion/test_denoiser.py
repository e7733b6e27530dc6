import pytest
import torch
from diffusers.models.unets.unet_2d_blocks import AttnDownBlock2D, AttnUpBlock2D
from pydantic import ValidationError

from gensis.diffusion.denoiser import create_denoiser, find_denoiser
from gensis.diffusion.pipeline import condition_arguments
from gensis.diffusion.unet import norm_groups
from gensis.settings.diffusion import Diffusion
from gensis.settings.registries import DENOISERS


@pytest.mark.parametrize("levels", [0, 1, 2, 5])
def test_attention_is_in_the_coarsest_levels_of_both_halves(levels):
    settings = Diffusion(channels=(8, 8, 16), layers_per_block=1, attention_levels=levels)
    denoiser = create_denoiser(settings, (3, 16, 16), 5)
    down = [isinstance(block, AttnDownBlock2D) for block in denoiser.down_blocks]
    up = [isinstance(block, AttnUpBlock2D) for block in denoiser.up_blocks]
    expected = [False] * (3 - min(levels, 3)) + [True] * min(levels, 3)
    assert down == expected
    assert up == expected[::-1]


@pytest.mark.parametrize("kind", DENOISERS)
def test_every_weight_has_a_gradient_and_the_output_depends_on_the_condition(kind):
    settings = Diffusion(denoiser=kind, channels=(8, 16), layers_per_block=1, attention_levels=1)
    denoiser = create_denoiser(settings, (4, 8, 8), 5)
    noisy, times, conditions = torch.randn(2, 4, 8, 8), torch.tensor([10, 900]), torch.randn(2, 5)
    forms = find_denoiser(kind).condition
    output = denoiser(noisy, times, **condition_arguments(forms, conditions)).sample
    output.square().mean().backward()
    assert output.shape == (2, 4, 8, 8)
    learning = {name for name, weight in denoiser.named_parameters() if weight.grad is not None}
    # Queries and keys of attention to a single token have no gradient: its weight is always 1.
    idle = {name for name, _ in denoiser.named_parameters() if ".attn2.to_q" in name or ".attn2.to_k" in name}
    assert learning | idle == {name for name, _ in denoiser.named_parameters()}
    null = denoiser(noisy, times, **condition_arguments(forms, torch.zeros(2, 5))).sample
    assert not torch.allclose(output, null, atol=1e-3)


def test_the_cross_attention_denoiser_has_the_published_settings():
    settings = Diffusion(denoiser="cross_attention")
    published = {"channels": (192, 384, 576, 960), "attention_levels": 3, "objective": "epsilon", "batch_size": 100}
    assert {name: getattr(settings, name) for name in published} == published
    assert (settings.learning_rate, settings.warmup_steps, settings.conditioning_dropout) == (1e-4, 1000, 0.1)
    assert Diffusion(denoiser="cross_attention", channels=(8, 16)).channels == (8, 16)
    config = create_denoiser(Diffusion(denoiser="cross_attention", channels=(8, 16)), (3, 16, 16), 384).config
    assert (config.encoder_hid_dim, config.cross_attention_dim, config.layers_per_block) == (384, 512, 2)
    assert config.mid_block_type == "UNetMidBlock2DCrossAttn"


def test_a_condition_is_given_in_the_form_that_the_denoiser_states():
    conditions = torch.randn(2, 5)
    given = condition_arguments({"pooled": "vector", "sequence": "token", "mask": "none"}, conditions)
    assert given["pooled"].equal(conditions)
    assert given["sequence"].equal(conditions[:, None])
    assert given["mask"] is None


@pytest.mark.parametrize("channels", [(8, 16), (24, 40), (32, 64, 64), (128, 256, 256)])
def test_norm_groups_divide_all_channels_and_have_at_least_four_each(channels):
    groups = norm_groups(channels)
    assert all(count % groups == 0 and count // groups >= 4 for count in channels)


def test_channels_are_multiples_of_eight():
    with pytest.raises(ValidationError, match="multiple of 8"):
        Diffusion(channels=(12, 16))
