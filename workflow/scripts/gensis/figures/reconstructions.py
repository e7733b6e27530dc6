"""Originals beside what an autoencoder makes of them: no generated image can hold more detail."""

import numpy as np
from PIL import Image

from gensis.figures.markup import LARGEST_CRISP_PX, figure, picture, text
from gensis.figures.run import Run, Training

NAME = "reconstructions.png"
LARGEST_SIDE_PX = 144


def reconstructions(run: Run) -> str:
    """The picture of the first diffusion model that works in latents, with its figures; nothing if none does."""
    trainings = [training for training in run.trainings if training.stage == "diffusion"]
    training = next((training for training in trainings if "reconstruction" in training.provenance), None)
    if training is None:
        return ""
    pixels = np.asarray(Image.open(training.folder / NAME).convert("RGB"))
    side = len(pixels) // 2
    columns = [pixels[:, left : left + side] for left in range(0, pixels.shape[1], side)]
    cells = [_cell(column[:side], "original") + _cell(column[side:], "reconstruction") for column in columns]
    caption = (
        f"<b>Seed {training.seed}.</b> Above, images of the train split, evenly chosen, nothing sorted out; below, the "
        "same encoded to latents and decoded. The diffusion model works in these latents, so what is lost here no "
        f"generated image shows.{_figures(run, training)}"
    )
    strips = "".join(f'<figure class="reconstruction">{cell}</figure>' for cell in cells)
    return figure(f'<div class="scroll"><div class="strip">{strips}</div></div>', caption, "bank")


def _cell(pixels: np.ndarray, label: str) -> str:
    image = Image.fromarray(pixels)
    if max(image.size) > LARGEST_CRISP_PX:
        image.thumbnail((LARGEST_SIDE_PX, LARGEST_SIDE_PX), Image.Resampling.LANCZOS)
    return picture(image, label)


def _figures(run: Run, training: Training) -> str:
    """PSNR and SSIM in a sentence, and what they were measured on."""
    measured = training.provenance["reconstruction"]
    if "psnr" not in measured:
        return ""
    trained = run.study.autoencoder_mode == "train"
    of = "that the autoencoder did not learn from" if trained else "of the train split"
    return (
        f" PSNR {measured['psnr']:.1f} dB, SSIM {measured['ssim']:.3f}: mean of {text(measured['images'])} images {of}."
    )
