import numpy as np
import pytest
import torch

from gensis.diffusion.objective import add_noise, make_scheduler


@pytest.fixture
def clean():
    return torch.randn(4000, 1, 2, 2, generator=torch.Generator().manual_seed(1))


def test_flow_interpolates_linearly_from_image_to_noise(clean):
    torch.manual_seed(0)
    noised = add_noise(clean, make_scheduler("flow", in_pixels=True))
    time = (noised.timesteps / 1000).view(-1, 1, 1, 1)
    torch.testing.assert_close(noised.noisy - time * noised.target, clean, atol=1e-5, rtol=1e-5)
    noise = noised.noisy + (1 - time) * noised.target
    assert noise.mean().abs() < 0.03
    assert (noise.std() - 1).abs() < 0.03
    assert torch.corrcoef(torch.stack([noise.flatten(), clean.flatten()]))[0, 1].abs() < 0.03


def test_flow_times_are_logit_normal(clean):
    torch.manual_seed(0)
    times = add_noise(clean, make_scheduler("flow", in_pixels=True)).timesteps / 1000
    logits = torch.logit(times.double())
    assert logits.mean().abs() < 0.06
    assert (logits.std() - 1).abs() < 0.06


def test_epsilon_follows_the_schedule_of_latent_diffusion(clean):
    torch.manual_seed(0)
    noised = add_noise(clean, make_scheduler("epsilon", in_pixels=True))
    betas = np.linspace(0.0015**0.5, 0.0195**0.5, 1000) ** 2
    alphas = torch.from_numpy(np.cumprod(1 - betas))[noised.timesteps].view(-1, 1, 1, 1)
    expected = alphas.sqrt() * clean + (1 - alphas).sqrt() * noised.target
    torch.testing.assert_close(noised.noisy.double(), expected, atol=1e-4, rtol=1e-4)
    assert noised.timesteps.min() < 10
    assert noised.timesteps.max() > 990


@pytest.mark.parametrize("objective", ["flow", "epsilon"])
def test_sampling_with_perfect_predictions_ends_at_the_image(objective):
    scheduler = make_scheduler(objective, in_pixels=True)
    image, noise = torch.rand(2, 3, 4, 4) * 2 - 1, torch.randn(2, 3, 4, 4)
    steps = {"sigmas": [1.0, 0.75, 0.5, 0.25]} if objective == "flow" else {"num_inference_steps": 4}
    scheduler.set_timesteps(**steps)
    sample = noise
    for timestep in scheduler.timesteps:
        if objective == "flow":
            prediction = (sample - image) / (timestep / 1000)
        else:
            alpha = scheduler.alphas_cumprod[timestep]
            prediction = (sample - alpha.sqrt() * image) / (1 - alpha).sqrt()
        sample = scheduler.step(prediction, timestep, sample).prev_sample
    torch.testing.assert_close(sample, image, atol=1e-3, rtol=1e-3)
