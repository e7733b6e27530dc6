"""Tiny drawn slides for tests."""

from pathlib import Path

import numpy as np

from gensis.slides.drawing import Kind, Pen, draw_slide, write_pyramid


def drawn_slide(
    path: Path,
    kind: Kind = "lymphoid",
    width_px: int = 512,
    height_px: int = 448,
    seed: int = 0,
    pen: Pen | None = None,
    mpp: float | None = 0.5,
) -> Path:
    """Draw a slide, write it as a pyramid and return its path."""
    write_pyramid(path, draw_slide(kind, width_px=width_px, height_px=height_px, seed=seed, pen=pen), mpp)
    return path


def glass_slide(path: Path, width_px: int = 512, height_px: int = 448, mpp: float | None = 0.5) -> Path:
    """Write a slide of empty glass with scanner noise and return its path."""
    noise = np.random.default_rng(0).normal(242, 1.5, (height_px, width_px, 3))
    write_pyramid(path, np.clip(noise, 0, 255).astype(np.uint8), mpp)
    return path
