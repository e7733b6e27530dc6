import colorsys

import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from gensis.augment.colour import (
    adjust_contrast,
    colour_matrices,
    gaussian_blur,
    jitter_stain,
    recolour,
    solarize,
)

FACTORS = torch.tensor([0.6, 0.8, 1.0, 1.2, 1.4, 0.0])
ONE, ZERO = torch.ones(6), torch.zeros(6)


@pytest.fixture
def pixels():
    return torch.rand(6, 3, 50, 48, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("ours", "theirs", "tolerance"),
    [
        (lambda x: recolour(x, colour_matrices(FACTORS, ONE, ZERO)), reference.adjust_brightness, 1e-5),
        # torchvision's grey has the weights 0.2989, 0.587 and 0.114.
        (lambda x: recolour(x, colour_matrices(ONE, FACTORS, ZERO)), reference.adjust_saturation, 2e-4),
        (lambda x: adjust_contrast(x, FACTORS), reference.adjust_contrast, 1e-4),
    ],
    ids=["brightness", "saturation", "contrast"],
)
def test_colour_jitter_equals_torchvision(pixels, ours, theirs, tolerance):
    expected = torch.stack([theirs(image, factor) for image, factor in zip(pixels, FACTORS.tolist())])
    torch.testing.assert_close(ours(pixels), expected, atol=tolerance, rtol=0)


def test_a_hue_shift_rotates_the_hue_and_keeps_grey():
    colours = torch.tensor([[0.6, 0.4, 0.4], [0.4, 0.55, 0.45], [0.5, 0.5, 0.5]]).view(3, 3, 1, 1)
    shift = torch.full((3,), 0.1)
    turned = recolour(colours, colour_matrices(torch.ones(3), torch.ones(3), shift)).view(3, 3)
    torch.testing.assert_close(turned[2], torch.full((3,), 0.5), atol=1e-4, rtol=0)
    for before, after in zip(colours.view(3, 3)[:2], turned[:2]):
        difference = colorsys.rgb_to_hsv(*after.tolist())[0] - colorsys.rgb_to_hsv(*before.tolist())[0]
        assert abs(abs((difference + 0.5) % 1 - 0.5) - 0.1) < 0.05


@pytest.mark.parametrize("side_px", [7, 32, 50, 53])
def test_blur_equals_torchvision_with_a_sigma_per_image(pixels, side_px):
    sigma = torch.tensor([0.1, 0.5, 1.0, 1.5, 1.9, 2.0])
    pixels = pixels.repeat(1, 1, 2, 1)[:, :, :side_px, :33]
    expected = [reference.gaussian_blur(image, [13, 13], [one, one]) for image, one in zip(pixels, sigma.tolist())]
    torch.testing.assert_close(gaussian_blur(pixels, sigma), torch.stack(expected), atol=2e-6, rtol=0)


def test_solarize_equals_torchvision(pixels):
    assert torch.equal(solarize(pixels), reference.solarize(pixels, 0.5))


def test_stain_jitter_equals_colour_deconvolution(pixels):
    rgb_of_stains = torch.tensor([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    unit = -torch.tensor(1e-6).log()  # scikit-image's unit of stain concentrations

    def to_stains(rgb):
        return -rgb.clamp(min=1e-6).log() / unit @ rgb_of_stains.inverse()

    def to_rgb(stains):
        return (-unit * stains @ rgb_of_stains).exp().clamp(0, 1)

    factor = torch.tensor([[1.2, 0.7, 1.0], [0.9, 1.1, 1.0]])
    shift = torch.tensor([[0.1, 0.0, -0.2], [0.0, 0.3, 0.1]])
    rgb = pixels[:2].clamp(min=0.02)
    expected = [
        to_rgb(to_stains(image.permute(1, 2, 0)) * one + other / unit).permute(2, 0, 1)
        for image, one, other in zip(rgb, factor, shift)
    ]
    torch.testing.assert_close(jitter_stain(rgb, factor, shift), torch.stack(expected), atol=1e-5, rtol=0)
    torch.testing.assert_close(jitter_stain(rgb, torch.ones(2, 3), torch.zeros(2, 3)), rgb, atol=1e-5, rtol=0)
