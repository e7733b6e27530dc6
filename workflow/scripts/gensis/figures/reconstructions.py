"""Reconstructions of the autoencoder beside the originals: no generated image can have more detail."""

import numpy as np
from PIL import Image

from gensis.figures.markup import LARGEST_CRISP_PX, figure, picture, text
from gensis.figures.run import Run, Training

NAME = "reconstructions.png"
LARGEST_SIDE_PX = 144


def reconstructions(run: Run) -> str:
    """Reconstructions of the first diffusion model that works in latents, with PSNR and SSIM; empty if none does."""
    trainings = [training for training in run.trainings if training.stage == "diffusion"]
    training = next((training for training in trainings if "reconstruction" in training.provenance), None)
    if training is None:
        return ""
    pixels = np.asarray(Image.open(training.folder / NAME).convert("RGB"))
    side = len(pixels) // 2
    columns = [pixels[:, left : left + side] for left in range(0, pixels.shape[1], side)]
    cells = [_cell(column[:side], "original") + _cell(column[side:], "reconstruction") for column in columns]
    caption = (
        f"<b>Seed {training.seed}.</b> Top: images of the train split, evenly chosen, not selected for quality; "
        "bottom: the same images, encoded to latents and decoded. The diffusion model works in these latents, so "
        f"detail that is lost here is missing from all generated images.{_metrics(run, training)}"
    )
    strips = "".join(f'<figure class="reconstruction">{cell}</figure>' for cell in cells)
    return figure(f'<div class="scroll"><div class="strip">{strips}</div></div>', caption, "bank")


def _cell(pixels: np.ndarray, label: str) -> str:
    image = Image.fromarray(pixels)
    if max(image.size) > LARGEST_CRISP_PX:
        image.thumbnail((LARGEST_SIDE_PX, LARGEST_SIDE_PX), Image.Resampling.LANCZOS)
    return picture(image, label)


def _metrics(run: Run, training: Training) -> str:
    """PSNR and SSIM in a sentence, with the images that they were measured on."""
    measured = training.provenance["reconstruction"]
    if "psnr" not in measured:
        return ""
    trained = run.study.autoencoder_mode == "train"
    which = "that the autoencoder was not trained on" if trained else "of the train split"
    images = f"{text(measured['images'])} images {which}"
    return f" PSNR {measured['psnr']:.1f} dB, SSIM {measured['ssim']:.3f}: mean of {images}."
