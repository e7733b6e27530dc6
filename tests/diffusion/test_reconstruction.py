"""PSNR, SSIM and held-out images, compared with independent implementations."""

import math

import numpy as np
import pytest
import torch
from tests.diffusion.tiny import open_pixels, write_dataset

from gensis.diffusion.autoencoder import create_autoencoder
from gensis.diffusion.held_out import HeldOut
from gensis.diffusion.reconstruction import pictured, psnr, reconstructed, reconstruction, ssim
from gensis.settings.autoencoder_training import AutoencoderTraining
from gensis.training.distributed import World


def slow_ssim(one: np.ndarray, other: np.ndarray) -> float:
    """Wang et al. 2004, equation 13, position by position, of two grey images in [0, 1]."""
    y, x = np.mgrid[-5:6, -5:6]
    window = np.exp(-(x**2 + y**2) / (2 * 1.5**2))
    window /= window.sum()
    found = []
    for top in range(one.shape[0] - 10):
        for left in range(one.shape[1] - 10):
            a, b = (image[top : top + 11, left : left + 11] for image in (one, other))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            covariance = (window * (a - mean_a) * (b - mean_b)).sum()
            light = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
            found.append(light * (2 * covariance + 0.03**2) / (var_a + var_b + 0.03**2))
    return float(np.mean(found))


@pytest.fixture(scope="module")
def pixels(tmp_path_factory):
    return open_pixels(write_dataset(tmp_path_factory.mktemp("images"), 60, 16), 16)


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    settings = AutoencoderTraining(channels=(8, 16), latent_channels=3)
    return create_autoencoder(settings, 16).requires_grad_(False)


def test_ssim_equals_the_formula_of_its_paper():
    generator = np.random.default_rng(0)
    one = generator.uniform(size=(2, 3, 15, 18))
    other = np.clip(one + generator.normal(0, 0.2, one.shape), 0, 1)
    found = ssim(*(torch.from_numpy(each).float() for each in (one, other)))
    wanted = [np.mean([slow_ssim(one[i, c], other[i, c]) for c in range(3)]) for i in range(2)]
    assert found.tolist() == pytest.approx(wanted, abs=1e-5)
    assert ssim(*[torch.from_numpy(one).float()] * 2).tolist() == pytest.approx([1, 1])


def test_psnr_equals_its_formula():
    one = torch.zeros(2, 3, 4, 4)
    other = one + torch.tensor([0.1, 0.5]).view(2, 1, 1, 1)
    assert psnr(one, other).tolist() == pytest.approx([20, -20 * math.log10(0.5)], abs=1e-4)
    assert psnr(one, one).tolist() == pytest.approx([100, 100])


@pytest.mark.parametrize(("images", "count"), [(19, 0), (40, 2), (1000, 50), (20_000, 512)])
def test_one_in_twenty_images_is_held_out_and_all_others_are_trained_on(images, count):
    held_out = HeldOut(images, 3)
    rows = held_out.rows.tolist()
    assert len(set(rows)) == len(rows) == count
    learnt_from = held_out.row_of(torch.arange(held_out.others)).tolist()
    assert sorted(learnt_from + rows) == list(range(images))
    assert not count or HeldOut(images, 4).rows.tolist() != rows
    assert HeldOut(images, 3).rows.tolist() == rows


def test_reconstruction_is_the_mean_over_the_rows(vae, pixels):
    rows = torch.tensor([5, 0, 33])
    originals = (pixels.batch(rows) + 1) / 2
    images = (reconstructed(vae, pixels.batch(rows)) + 1) / 2
    found = reconstruction(vae, pixels, rows)
    assert found["psnr"] == pytest.approx(psnr(images, originals).mean().item(), abs=1e-4)
    assert found["ssim"] == pytest.approx(ssim(images, originals).mean().item(), abs=1e-5)
    assert reconstruction(vae, pixels, rows[:0]) == {}


def test_processes_share_the_rows_and_agree_on_the_mean(vae, pixels):
    rows, sums = torch.arange(5), []

    class Other(World):
        def mean(self, tensor):
            sums.append(tensor.clone())
            return sum(sums) / 2

    reconstruction(vae, pixels, rows, Other(0, 2))
    assert reconstruction(vae, pixels, rows, Other(1, 2)) == pytest.approx(reconstruction(vae, pixels, rows), abs=1e-4)


def test_picture_has_originals_above_their_reconstructions(vae, pixels):
    rows = torch.arange(60)
    picture = np.asarray(pictured(vae, pixels, rows))
    assert picture.shape == (32, 8 * 16, 3)
    last = pixels.images.batch(torch.tensor([59]))[0].permute(1, 2, 0).numpy()
    assert np.array_equal(picture[:16, -16:], last)
    below = ((reconstructed(vae, pixels.batch(rows[59:])) + 1) * 127.5).round()[0].permute(1, 2, 0).numpy()
    assert np.abs(picture[16:, -16:] - below).max() <= 1
    assert pictured(vae, pixels, rows[:2]).size == (32, 32)
