"""Tiny benchmarks in the layout of their authors, and an encoder without weights."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PATCH_PX = 16


def tokens_of(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings (B, 48) and patch tokens (B, h, w, 48) of normalised images: colours at a quarter of the size."""
    height, width = (side // PATCH_PX * PATCH_PX for side in pixels.shape[2:])
    small = F.avg_pool2d(pixels[:, :, :height, :width], PATCH_PX // 4)
    tokens = F.pixel_unshuffle(small, 4).permute(0, 2, 3, 1)
    return torch.tanh(tokens * torch.linspace(-1, 1, 48)).mean(dim=(1, 2)), tokens


def encoder(mean: tuple[float, ...], std: tuple[float, ...]) -> Callable:
    """The same of images in 0 to 255."""
    shift, scale = (torch.tensor(each).view(1, 3, 1, 1) for each in (mean, std))
    return lambda images: tokens_of((images.float() / 255 - shift) / scale)


def texture(generator: np.random.Generator, cells: int = 6) -> np.ndarray:
    """Random colours in a grid of cells, uint8."""
    return generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8)


def seen(scene: np.ndarray, generator: np.random.Generator, size: tuple[int, int], change: float) -> Image.Image:
    """A photograph of a scene: another crop, brightness and noise, the more, the larger ``change`` in 0 to 1."""
    width, height = size
    large = Image.fromarray(scene).resize((2 * width, 2 * height), Image.Resampling.BICUBIC)
    left, top = (int(change * generator.uniform(0, side)) for side in size)
    cropped = np.array(large.crop((left, top, left + 2 * width - left, top + 2 * height - top)).resize(size), float)
    changed = cropped * (1 + change * generator.uniform(-0.6, 0.3)) + change * generator.normal(0, 50, cropped.shape)
    return Image.fromarray(changed.clip(0, 255).astype(np.uint8))


def save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=95) if path.suffix == ".jpg" else image.save(path)


def draw_copydays(folder: Path, originals: int = 24) -> Path:
    """Originals, one to three copies of each, and six distractors in ``folder``."""
    generator = np.random.default_rng(1)
    for number in range(originals):
        scene = texture(generator)
        save(seen(scene, generator, (120, 90), 0), folder / f"copydays/original/{2000 + number}00.jpg")
        for copy in range(1 + number % 3):
            size = (90 + 20 * copy, 100)
            save(seen(scene, generator, size, 0.5), folder / f"copydays/strong/{2000 + number}{copy + 1:02d}.jpg")
    for number in range(6):
        save(seen(texture(generator), generator, (100, 100), 0.5), folder / f"distractors/{number}.png")
    return folder


def draw_landmarks(folder: Path) -> Path:
    """Five landmarks with eight images each in ``folder``/roxford5k; the fourth has no hard images."""
    generator = np.random.default_rng(2)
    images, queries, truth = [], [], []
    for landmark in range(5):
        scene, lists = texture(generator), {"easy": [], "hard": [], "junk": []}
        for number in range(8):
            kind = ("easy", "easy", "easy", "hard", "hard", "junk", "other", "easy")[number]
            kind = "junk" if landmark == 3 and kind == "hard" else kind
            size = (80 + 12 * number, 150 - 9 * number)
            name = f"landmark_{landmark}_{number}"
            shown = texture(generator) if kind == "other" else scene
            change = {"easy": 0.2, "hard": 0.5, "junk": 0.3, "other": 1.0}[kind]
            save(seen(shown, generator, size, change), folder / f"roxford5k/jpg/{name}.jpg")
            if kind != "other":
                lists[kind].append(len(images))
            images.append(name)
        queries.append(f"query_{landmark}")
        save(seen(scene, generator, (130, 96), 0.3), folder / f"roxford5k/jpg/query_{landmark}.jpg")
        truth.append({"bbx": [0.0, 0.0, 90.0, 90.0], **{name: np.array(each) for name, each in lists.items()}})
    with (folder / "roxford5k/gnd_roxford5k.pkl").open("wb") as file:
        pickle.dump({"imlist": images, "qimlist": queries, "gnd": truth}, file)
    return folder


def draw_davis(folder: Path) -> Path:
    """Videos of 10 and 4 frames, with two objects that move over a texture, the second in portrait, in DAVIS."""
    generator = np.random.default_rng(3)
    palette = [0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 759
    for video, frames, width, height in (("wide", 10, 168, 100), ("tall", 4, 90, 140)):
        background = np.array(Image.fromarray(texture(generator, 10)).resize((width, height), Image.Resampling.BICUBIC))
        looks = [np.array(Image.fromarray(texture(generator, 4)).resize((width, height))) for _ in range(2)]
        rows, columns = np.mgrid[:height, :width]
        for frame in range(frames):
            mask = np.zeros((height, width), np.uint8)
            x, y = 0.2 * width + 5 * frame, 0.4 * height + 2 * frame
            mask[(abs(columns - x) < 18) & (abs(rows - y) < 14)] = 1
            x, y, radius = 0.7 * width - 3 * frame, 0.55 * height + 3 * frame, 11 + frame
            mask[(columns - x) ** 2 + (rows - y) ** 2 < radius**2] = 2
            pixels = np.select([mask[..., None] == 1, mask[..., None] == 2], looks, background).astype(float)
            pixels = (pixels * (1 - 0.02 * frame) + generator.normal(0, 12, pixels.shape)).clip(0, 255)
            save(Image.fromarray(pixels.astype(np.uint8)), folder / f"DAVIS/JPEGImages/480p/{video}/{frame:05d}.jpg")
            annotation = Image.fromarray(mask)
            annotation.putpalette(palette)
            save(annotation, folder / f"DAVIS/Annotations/480p/{video}/{frame:05d}.png")
    (folder / "DAVIS/ImageSets/2017").mkdir(parents=True)
    (folder / "DAVIS/ImageSets/2017/val.txt").write_text("wide\ntall\n")
    return folder
