from dataclasses import fields
from pkgutil import resolve_name

import numpy as np
import pytest
import torch

from gensis.augment.corruptions.blur import DEFOCUS, Defocus, Glass, Motion
from gensis.augment.corruptions.corruption import corrupt, five
from gensis.augment.corruptions.digital import Elastic, _smoothed
from gensis.augment.corruptions.weather import Snow, _clouds
from gensis.settings.registries import CORRUPTIONS


def pictures(side_px: int) -> torch.Tensor:
    """Smooth random colours with some noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, 3, 8, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (side_px, side_px), mode="bicubic").clamp(0, 1)
    fine = torch.rand(3, 3, side_px, side_px, generator=generator)
    return ((smooth * 0.6 + fine * 0.2 + 0.1) * 255).to(torch.uint8)


@pytest.fixture
def images() -> torch.Tensor:
    return pictures(64)


def distance(images: torch.Tensor, kind: str, severity: int) -> float:
    return (corrupt(images, kind, severity, range(3)).float() - images.float()).square().mean().item()


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_every_kind_has_two_sets_of_five_severities_that_differ(kind):
    severities = resolve_name(CORRUPTIONS[kind])
    for each in (severities.large, severities.small):
        assert len(set(each)) == 5
        assert len({type(corruption) for corruption in each}) == 1
        assert fields(each[0])


def test_severities_take_one_value_of_each_parameter():
    assert DEFOCUS.large[1] == Defocus(radius_px=4, edge_sigma_px=0.5)
    with pytest.raises(ValueError, match="shorter"):
        five(Defocus, radius_px=(1, 2, 3, 4, 5), edge_sigma_px=(1, 2, 3, 4))


@pytest.mark.parametrize("side_px", [32, 160])
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_higher_severities_change_images_more(kind, side_px):
    distances = [distance(pictures(side_px), kind, severity) for severity in range(1, 6)]
    assert min(distances) > 0
    if kind in ("glass", "elastic"):  # their published severities do not increase the distance
        return
    assert distances[0] < distances[-1]
    assert np.corrcoef(distances, range(5))[0, 1] > 0.8


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_depends_only_on_the_image_and_its_seed(images, kind):
    state = torch.get_rng_state()
    whole = corrupt(images, kind, 3, [5, 6, 7])
    assert whole.dtype == torch.uint8
    assert torch.equal(corrupt(images[2:], kind, 3, [7]), whole[2:])
    assert torch.equal(torch.get_rng_state(), state)
    if kind not in ("blur", "defocus", "zoom", "brightness", "contrast", "pixelate", "jpeg"):
        assert not torch.equal(corrupt(images[:1], kind, 3, [1]), corrupt(images[:1], kind, 3, [2]))


def test_noise_has_the_published_standard_deviation():
    grey = torch.full((1, 3, 128, 128), 128, dtype=torch.uint8)
    found = corrupt(grey, "noise", 1, [0]).float() / 255
    assert found.std().item() == pytest.approx(0.08, rel=0.03)


def test_contrast_and_brightness_equal_imagenet_c(images):
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


def test_lengths_scale_with_the_image():
    """Blurring an image equals blurring it at half its size."""
    large = torch.zeros(1, 3, 128, 128, dtype=torch.uint8)
    large[..., 48:80, 48:80] = 255
    halved = torch.nn.functional.avg_pool2d(corrupt(large, "blur", 5, [0]).float(), 2)
    assert (halved - corrupt(large[..., ::2, ::2], "blur", 5, [0]).float()).abs().mean() < 2


def test_shot_noise_has_poisson_variance():
    grey = torch.full((1, 3, 128, 128), 128, dtype=torch.uint8)
    found = corrupt(grey, "shot", 1, [0]).float() / 255
    assert found.mean().item() == pytest.approx(128 / 255, abs=0.005)
    assert found.var().item() == pytest.approx(128 / 255 / 60, rel=0.05)


def test_impulse_noise_has_the_published_rate_and_is_half_white():
    grey = torch.full((1, 3, 128, 128), 128, dtype=torch.uint8)
    found = corrupt(grey, "impulse", 5, [0])
    assert (found == 255).float().mean().item() == pytest.approx(0.135, abs=0.01)
    assert (found == 0).float().mean().item() == pytest.approx(0.135, abs=0.01)


def test_defocus_turns_a_point_into_a_disc():
    point = torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    point[..., 112, 112] = 255
    weights = Defocus(6, 0.5)(point / 255, [0])[0, 0]
    far = (torch.arange(224)[:, None] - 112).square() + (torch.arange(224) - 112).square()
    assert weights.sum().item() == pytest.approx(1, abs=1e-4)
    assert weights[far > 8**2].abs().max() < 1e-6
    inner = weights[far < 4**2]
    assert inner.min().item() == pytest.approx(1 / 113, rel=1e-3)  # pixels within 6 px of a pixel
    assert inner.max().item() == pytest.approx(1 / 113, rel=1e-3)


def test_motion_turns_a_point_into_a_fading_line():
    point = torch.zeros(1, 3, 224, 224)
    point[..., 112, 112] = 1
    moved = Motion(10, 3)(point, [3])[0, 0]
    rows, columns = moved.nonzero().T.tolist()
    weights = moved[rows, columns]
    assert weights.sum().item() == pytest.approx(1, abs=1e-4)
    assert len(set(columns)) >= 15  # within 45 degrees of the horizontal
    assert max(columns) == 112
    assert moved[112, 112] == moved.max()


def test_zoom_keeps_the_centre_and_blurs_the_edges():
    rings = torch.zeros(1, 3, 225, 225, dtype=torch.uint8)
    rings[..., ::8] = 255
    lost = (corrupt(rings, "zoom", 3, [0]).float() - rings.float()).abs()[0, 0].mean(0)
    assert lost[108:117].mean() < 0.5 * lost[:40].mean()


def test_fog_is_smooth_periodic_and_never_brighter_than_the_image(images):
    dark = images // 2
    foggy = corrupt(dark, "fog", 5, range(3))
    assert (foggy.amax(dim=(1, 2, 3)) <= dark.amax(dim=(1, 2, 3))).all()
    clouds = _clouds(64, 2, 1)
    assert (clouds.min(), clouds.max()) == (0, 1)
    near, far = (np.abs(clouds - np.roll(clouds, by, 1)).mean() for by in (1, 16))
    assert near < 0.5 * far
    seam = np.abs(clouds[:, 0] - clouds[:, -1]).mean()
    assert seam < 3 * near


def test_glass_moves_pixels_by_at_most_its_distance():
    where = torch.arange(224.0).expand(1, 3, 224, 224) / 223
    found = Glass(0.1, 4, 1)(where, [0]) * 223
    moved = (found - torch.arange(224.0)).round()[0, 0, :, 4:-4]
    assert {-4, 3} <= set(moved.flatten().tolist()) <= set(range(-4, 4))
    assert torch.equal(found[:, 0], found[:, 2])
    twice = (Glass(0.1, 4, 2)(where, [0]) * 223 - torch.arange(224.0)).round()[0, 0, :, 8:-8]
    assert twice.std().item() == pytest.approx(moved.std().item() * 2**0.5, rel=0.02)


def test_snow_whitens_the_image_between_flakes():
    images = pictures(32) / 255
    no_flakes = Snow(
        noise_mean=0, noise_deviation=0, size_px=1, threshold=0.5, motion_radius_px=8, motion_sigma_px=3, kept=0.7
    )
    red, green, blue = images.unbind(1)
    light = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None] * 1.5 + 0.5
    wanted = 0.7 * images + 0.3 * torch.maximum(images, light)
    assert torch.allclose(no_flakes(images, range(3)), wanted, atol=1e-6)


def test_snow_is_grey_and_has_steep_streaks():
    black = torch.zeros(1, 3, 64, 64)
    streaks = Snow(
        noise_mean=0.1, noise_deviation=0.3, size_px=1, threshold=0.7, motion_radius_px=30, motion_sigma_px=15, kept=1
    )
    flakes = streaks(black, [2])[0]
    assert 0 < flakes.mean() < 0.5
    assert torch.equal(flakes[0], flakes[1])
    across, down = (flakes[0].diff(dim=axis).abs().mean() for axis in (1, 0))
    assert down < 0.7 * across  # streaks along steep lines


def test_elastic_without_noise_is_its_affine_map():
    from scipy.ndimage import map_coordinates

    generator = np.random.default_rng(7)
    image = pictures(32)[:1] / 255
    moved = generator.uniform(-2.56, 2.56, (3, 2))
    fixed = np.array([[26, 26], [26, 6], [6, 6]])  # as x, y: the middle and a third of the side
    forward = np.linalg.lstsq(np.column_stack([fixed, np.ones(3)]), fixed + moved, rcond=None)[0].T
    found = Elastic(0, 0, 2.56)(image, [7])[0].numpy()
    for row, column in ((16, 16), (9, 20), (23, 12)):
        x, y = np.linalg.solve(forward[:, :2], np.array([column, row]) - forward[:, 2])
        wanted = [map_coordinates(channel, [[y], [x]], order=1)[0] for channel in image[0].numpy()]
        np.testing.assert_allclose(found[:, row, column], wanted, atol=1e-4)


def test_elastic_noise_is_smoothed_by_its_sigma():
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(0).uniform(-1, 1, (2, 40, 56))
    wanted = np.stack([gaussian_filter(plane, 2.5, mode="reflect", truncate=6) for plane in noise])
    np.testing.assert_allclose(_smoothed(noise, 2.5), wanted, atol=1e-6)
    assert np.allclose(_smoothed(noise, 0), noise)


def test_elastic_moves_pixels_in_proportion_to_the_image():
    def moves(side_px: int) -> float:
        ramp = torch.linspace(0, 1, side_px).expand(1, 3, side_px, side_px)
        edge = side_px // 8
        return (Elastic(488, 19.52, 0)(ramp, [1]) - ramp)[..., edge:-edge, edge:-edge].std().item()

    assert moves(112) == pytest.approx(moves(448), rel=0.3)
