"""Colours, as readers with each colour blindness see them (Machado et al. 2009), compared in CIELAB."""

import itertools

import numpy as np
import pytest
from PIL import ImageColor

from gensis.figures.palette import ATTENTION, KEPT, SERIES

VISION = {
    "ordinary": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
WHITE = [0.95047, 1, 1.08883]
TISSUE = {
    "eosin": (230, 160, 200),
    "dense eosin": (200, 80, 120),
    "haematoxylin": (110, 70, 150),
    "pale": (240, 205, 225),
    "glass": (245, 245, 245),
}


def seen(colour: tuple[int, int, int], vision: str) -> np.ndarray:
    """CIELAB of an sRGB colour."""
    value = np.array(colour) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    xyz = np.array(TO_XYZ) @ np.clip(np.array(VISION[vision]) @ linear, 0, 1) / WHITE
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(first: tuple[int, int, int], second: tuple[int, int, int], vision: str) -> float:
    return float(np.linalg.norm(seen(first, vision) - seen(second, vision)))


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("tissue", TISSUE)
def test_overlays_stand_out_from_tissue(tissue: str, vision: str) -> None:
    assert distance(KEPT, TISSUE[tissue], vision) > 30
    drawn = 0.8 * np.array(ATTENTION) + 0.2 * np.array(TISSUE[tissue])
    assert distance(tuple(drawn), TISSUE[tissue], vision) > 30


@pytest.mark.parametrize("vision", VISION)
def test_series_differ_from_each_other(vision: str) -> None:
    colours = [ImageColor.getrgb(colour) for colour in SERIES[1:]]
    assert min(distance(*pair, vision) for pair in itertools.combinations(colours, 2)) > 10
