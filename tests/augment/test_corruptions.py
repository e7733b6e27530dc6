from typing import get_args

import numpy as np
import pytest
import torch

from gensis.augment.corruptions import CORRUPTIONS, corrupt
from gensis.settings.evaluation import Evaluation


def pictures(side_px: int) -> torch.Tensor:
    """Soft blobs of colour, with some noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, 3, 8, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (side_px, side_px), mode="bicubic").clamp(0, 1)
    fine = torch.rand(3, 3, side_px, side_px, generator=generator)
    return ((smooth * 0.6 + fine * 0.2 + 0.1) * 255).to(torch.uint8)


@pytest.fixture
def images() -> torch.Tensor:
    return pictures(64)


def distance(images: torch.Tensor, kind: str, strength: int) -> float:
    return (corrupt(images, kind, strength, range(3)).float() - images.float()).square().mean().item()


def test_settings_know_all_kinds():
    annotation = Evaluation.model_fields["corruptions"].annotation
    assert set(get_args(get_args(annotation)[0])) == set(CORRUPTIONS)
    assert all(len(each) == 5 for _, *strengths in CORRUPTIONS.values() for each in strengths)


@pytest.mark.parametrize("side_px", [32, 160])
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_greater_strengths_damage_more(kind, side_px):
    distances = [distance(pictures(side_px), kind, strength) for strength in range(1, 6)]
    assert 0 < distances[0] < distances[-1]
    assert np.corrcoef(distances, range(5))[0, 1] > 0.8


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_damage_is_a_function_of_the_image_and_its_seed(images, kind):
    state = torch.get_rng_state()
    whole = corrupt(images, kind, 3, [5, 6, 7])
    assert whole.dtype == torch.uint8
    assert torch.equal(corrupt(images[2:], kind, 3, [7]), whole[2:])
    assert torch.equal(torch.get_rng_state(), state)
    if kind in ("noise", "stain"):
        assert not torch.equal(corrupt(images[:1], kind, 3, [1]), corrupt(images[:1], kind, 3, [2]))


def test_noise_has_the_published_deviation():
    grey = torch.full((1, 3, 128, 128), 128, dtype=torch.uint8)
    found = corrupt(grey, "noise", 1, [0]).float() / 255
    assert found.std().item() == pytest.approx(0.08, rel=0.03)


def test_contrast_and_brightness_are_those_of_imagenet_c(images):
    from colorsys import hsv_to_rgb, rgb_to_hsv

    scaled = images.numpy() / 255
    mean = scaled.mean((2, 3), keepdims=True)
    expected = ((scaled - mean) * 0.2 + mean).clip(0, 1)
    np.testing.assert_allclose(corrupt(images, "contrast", 3, range(3)).numpy() / 255, expected, atol=0.6 / 255)
    brighter = corrupt(images, "brightness", 2, range(3)).numpy() / 255
    for row, column in ((3, 9), (40, 22)):
        hue, saturation, value = rgb_to_hsv(*scaled[1, :, row, column])
        pixel = hsv_to_rgb(hue, saturation, min(value + 0.2, 1))
        np.testing.assert_allclose(brighter[1, :, row, column], pixel, atol=0.6 / 255)


def test_lengths_shrink_with_the_image():
    """A large image and the same at half its size look alike after the blur."""
    large = torch.zeros(1, 3, 128, 128, dtype=torch.uint8)
    large[..., 48:80, 48:80] = 255
    halved = torch.nn.functional.avg_pool2d(corrupt(large, "blur", 5, [0]).float(), 2)
    assert (halved - corrupt(large[..., ::2, ::2], "blur", 5, [0]).float()).abs().mean() < 2
