"""Originals beside reconstructions, recognised by their colours."""

import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image
from tests.figures import tiny

from gensis.figures.curves import curves
from gensis.figures.page import page
from gensis.figures.reconstructions import NAME, reconstructions
from gensis.figures.run import Run

SIDE_PX, COUNT = 16, 3


def colour(row: int, column: int) -> tuple[int, int, int]:
    return (100 * row, 50 * column, 7)


def with_latents(results: Path, mode: str = "train") -> Run:
    """The run with a diffusion model that works in latents."""
    folder = results / "tiny"
    tiny.write_config(folder, autoencoder=mode)
    measured = {"reconstruction": {"images": 12, "psnr": 24.51, "ssim": 0.8127}}
    tiny.write_training(folder / "diffusion/dino/seed0", ("loss",), [(10, 1.1)], **measured)
    history = [(10, 0.4, 20.0, 0.7), (20, 0.2, 24.51, 0.8127)]
    tiny.write_training(folder / "autoencoder/seed0", ("loss", "psnr", "ssim"), history)
    grid = np.array([[colour(row, column) for column in range(COUNT)] for row in range(2)], np.uint8)
    Image.fromarray(grid.repeat(SIDE_PX, 0).repeat(SIDE_PX, 1)).save(folder / "diffusion/dino/seed0" / NAME)
    return Run(folder, results / "images")


def test_each_original_is_above_its_reconstruction(results: Path) -> None:
    images = re.findall(r'<img src="data:image/png;base64,([^"]*)" alt="(.*?)"', reconstructions(with_latents(results)))
    found = []
    for encoded, label in images:
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))
        assert pixels.shape == (SIDE_PX, SIDE_PX, 3)
        assert (pixels == pixels[0, 0]).all()
        found.append((label, tuple(pixels[0, 0].tolist())))
    labels = ("original", "reconstruction")
    assert found == [(labels[row], colour(row, column)) for column in range(COUNT) for row in range(2)]


def test_caption_has_psnr_and_ssim_and_the_images_measured(results: Path) -> None:
    html = reconstructions(with_latents(results))
    assert "PSNR 24.5 dB, SSIM 0.813: mean of 12 images that the autoencoder was not trained on" in html
    assert "mean of 12 images of the train split" in reconstructions(with_latents(results, "/their/vae"))


def test_section_and_curves_are_shown_only_for_latent_diffusion(results: Path, run: Run) -> None:
    assert reconstructions(run) == ""
    heading = "<h2>Autoencoder reconstructions</h2>"
    assert heading not in page(run)
    latent = with_latents(results)
    assert heading in page(latent)
    assert all(f">{name}</text>" in curves(latent) for name in ("PSNR (dB)", "SSIM"))


def test_reconstructions_of_an_earlier_model_are_not_shown(results: Path) -> None:
    folder = with_latents(results).folder / "diffusion/dino/seed0"
    tiny.write_training(folder, ("loss",), [(10, 1.1)])
    assert (folder / NAME).exists()
    assert reconstructions(Run(results / "tiny", results / "images")) == ""
