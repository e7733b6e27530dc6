"""Synthetic slides that resemble tissue stained with haematoxylin and eosin, for the demo and the tests.

A pixel is the light that passes two stains, white * exp(-(density . absorption)), the inverse of colour deconvolution
(Ruifrok and Johnston 2001). One pixel is 0.5 um.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
from scipy import ndimage

from gensis.artifacts.files import written_atomically

Kind = Literal["lymphoid", "glandular"]
Pen = Literal["blue", "green"]

_GLASS = 243.0
# Absorption of red, green and blue light.
_HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])
_EOSIN = np.array([0.10, 0.92, 0.32])  # pinker than the textbook, as scanners show it
_PENS = {"blue": np.array([38.0, 84.0, 178.0]), "green": np.array([24.0, 138.0, 92.0])}
_SMALLEST_LEVEL_PX = 160
_TILE_PX = 256
_PATCH_PX = 90


def draw_slide(
    kind: Kind, *, width_px: int, height_px: int, seed: int, pen: Pen | None = None, other_fraction: float = 0.0
) -> np.ndarray:
    """Draw one piece of tissue on glass.

    Args:
        kind: `lymphoid` (crowded small round nuclei, follicles) or `glandular` (glands in fibrous stroma).
        width_px: at 0.5 um/px.
        height_px: at 0.5 um/px.
        seed: determines shape, cells and staining.
        pen: colour of a marker stroke on the glass, if any.
        other_fraction: fraction of the area that is tissue of the other kind, in patches.

    Returns:
        uint8 (height_px, width_px, 3), RGB.
    """
    random = np.random.default_rng(seed)
    shape = (height_px, width_px)
    tissue = _outline(shape, random)
    lymphoid = np.full(shape, kind == "lymphoid")
    if other_fraction:
        field = _noise(shape, _PATCH_PX, random)
        lymphoid ^= field < np.quantile(field, other_fraction)
    haematoxylin, eosin = _tissue(lymphoid, random)
    strength = random.uniform(0.8, 1.25, 2)
    absorption = np.stack([_HAEMATOXYLIN, _EOSIN]) * random.uniform(0.9, 1.1, (2, 3)) * strength[:, None]
    density = np.stack([haematoxylin, eosin], axis=-1) * tissue[..., None]
    image = _GLASS * np.exp(-density @ absorption)
    if pen:
        ink = _pen_stroke(shape, tissue, random)[..., None]
        image = image * (1 - ink) + image / _GLASS * _PENS[pen] * ink
    image = ndimage.gaussian_filter(image, (0.6, 0.6, 0)) + random.normal(0, 1.2, (*shape, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


def write_pyramid(path: Path, image: np.ndarray, mpp: float | None) -> None:
    """Write a tiled pyramidal TIFF with JPEG tiles, as slide scanners do; each level halves the one before.

    Args:
        path: the file to write.
        image: uint8 (H, W, 3), RGB.
        mpp: um/px for the resolution tags; None leaves them out.
    """
    options = {
        "tile": (_TILE_PX, _TILE_PX),
        "photometric": "rgb",
        "compression": "jpeg",
        "compressionargs": {"level": 88},
        "metadata": None,
    }
    level = image.astype(np.float32)
    with written_atomically(path) as temporary, tifffile.TiffWriter(temporary) as tiff:
        factor = 1
        while factor == 1 or min(level.shape[:2]) >= _SMALLEST_LEVEL_PX:
            if mpp:
                px_per_cm = 10_000 / (mpp * factor)
                options |= {"resolution": (px_per_cm, px_per_cm), "resolutionunit": "CENTIMETER"}
            tiff.write(np.rint(level).astype(np.uint8), subfiletype=int(factor > 1), **options)
            height, width = (side // 2 for side in level.shape[:2])
            level = level[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).mean((1, 3))
            factor *= 2


def _noise(shape: tuple[int, int], scale_px: float, random: np.random.Generator) -> np.ndarray:
    """Smooth noise of mean 0 and deviation 1 whose features are about `scale_px` large."""
    coarse = max(1, int(scale_px / 4))
    small = [side // coarse + 3 for side in shape]
    field = ndimage.gaussian_filter(random.normal(size=small), scale_px / coarse, mode="wrap")
    rows, columns = (np.arange(side) / coarse for side in shape)
    field = ndimage.map_coordinates(field, np.meshgrid(rows, columns, indexing="ij"), order=1)
    return (field - field.mean()) / field.std()


def _outline(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Piece of tissue with a ragged edge: float (H, W), 1 inside and 0 on glass."""
    height, width = shape
    rows, columns = np.mgrid[:height, :width]
    centre_x, centre_y = random.uniform(0.44, 0.56, 2)
    x, y = columns / width - centre_x, rows / height - centre_y
    radius = np.hypot(x, y * random.uniform(0.9, 1.1))
    scale = min(shape)
    ragged = 0.035 * _noise(shape, scale / 10, random) + 0.008 * _noise(shape, scale / 60, random)
    inside = radius + ragged < 0.42
    return ndimage.gaussian_filter(inside.astype(np.float64), 1.5)


def _fibres(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Wavy bundles of collagen: float (H, W), mean 0 and deviation about 1."""
    height, width = shape
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    angle = random.uniform(0, np.pi)
    across = columns * np.sin(angle) + rows * np.cos(angle) + 22 * _noise(shape, 60, random)
    along = columns * np.cos(angle) - rows * np.sin(angle)
    streaks = ndimage.gaussian_filter(random.normal(size=(512, 512)), (1.6, 14), mode="wrap")
    return ndimage.map_coordinates(streaks / streaks.std(), [across % 512, along % 512], order=1, mode="grid-wrap")


def _scattered(shape: tuple[int, int], spacing_px: float, random: np.random.Generator) -> np.ndarray:
    """Points at about one distance from each other: float (n, 2), y and x."""
    rows, columns = np.mgrid[0 : shape[0] : spacing_px * 0.87, 0 : shape[1] : spacing_px]
    columns = columns + spacing_px / 2 * (np.arange(len(rows)) % 2)[:, None]
    points = np.stack([rows.ravel(), columns.ravel()], axis=1)
    return points + random.normal(0, spacing_px * 0.22, points.shape)


@dataclass(frozen=True)
class _Canvas:
    """Densities of the stains, all float (H, W), changed in place while drawing."""

    haematoxylin: np.ndarray
    eosin: np.ndarray
    nuclei: np.ndarray
    """Haematoxylin of the nuclei only; where two nuclei overlap, the denser one is visible."""
    chromatin: np.ndarray
    """Texture of the nuclei, mean 0 and deviation 1."""

    def window(self, centre: np.ndarray, reach: float) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
        """The part of the canvas around a point, and each of its pixels' distance from the point in y and x."""
        slices = tuple(
            slice(int(np.clip(value - reach, 0, side)), int(np.clip(value + reach + 1, 0, side)))
            for value, side in zip(centre, self.eosin.shape)
        )
        rows, columns = np.ogrid[slices]
        return slices, rows - centre[0], columns - centre[1]

    def stamp_nucleus(self, centre: np.ndarray, radii: tuple[float, float], angle: float, density: float) -> None:
        """Draw one elliptic nucleus with mottled chromatin and a dense rim."""
        here, dy, dx = self.window(centre, max(radii) + 1)
        along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        distance = np.hypot(along / radii[0], across / radii[1])
        edge = np.clip((1 - distance) * min(radii) + 0.5, 0, 1)
        dense = density * (0.85 + 0.2 * self.chromatin[here] + 0.3 * np.clip(distance, 0, 1) ** 4)
        np.maximum(self.nuclei[here], edge * dense, out=self.nuclei[here])

    def densities(self) -> tuple[np.ndarray, np.ndarray]:
        """Haematoxylin and eosin."""
        return np.maximum(self.haematoxylin, self.nuclei), np.clip(self.eosin, 0.02, None)


def _tissue(lymphoid: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Lymphoid tissue where bool (H, W) is true, else glands, which stay whole: densities of haematoxylin and eosin."""
    if lymphoid.all():
        return _lymphoid(lymphoid, random)
    glandular, glands = _glandular(~lymphoid, random)
    if not lymphoid.any():
        return glandular
    lymphoid = lymphoid & ~glands
    share = ndimage.gaussian_filter(lymphoid.astype(np.float64), 2)
    return tuple(share * one + (1 - share) * other for one, other in zip(_lymphoid(lymphoid, random), glandular))


def _lymphoid(where: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Crowded lymphocytes, pale germinal centres, thin trabeculae: densities of haematoxylin and eosin."""
    shape = where.shape
    follicles = _noise(shape, 55, random) > 1.1
    trabeculae = np.abs(_noise(shape, 80, random)) < 0.07
    haematoxylin = 0.15 + 0.04 * _noise(shape, 12, random)
    eosin = 0.22 + 0.04 * _noise(shape, 6, random) + 0.35 * ndimage.gaussian_filter(trabeculae.astype(float), 2)
    canvas = _Canvas(haematoxylin, eosin, np.zeros(shape), _noise(shape, 1.5, random))
    for centre in _scattered(shape, 12.0, random):
        here = _pixel(centre, shape)
        if not where[here] or trabeculae[here] or random.random() < (0.35 if follicles[here] else 0.06):
            continue
        radius, density = (random.uniform(6, 8.5), 0.75) if follicles[here] else (random.uniform(4.4, 6.0), 1.5)
        radii = (radius, radius * random.uniform(0.8, 1))
        canvas.stamp_nucleus(centre, radii, random.uniform(0, np.pi), density * random.uniform(0.75, 1.15))
    return canvas.densities()


def _glandular(where: np.ndarray, random: np.random.Generator) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Glands around empty lumina in fibrous stroma: densities of haematoxylin and eosin, and where glands are."""
    shape = where.shape
    fibres = _fibres(shape, random)
    eosin = np.clip(0.5 + 0.12 * fibres + 0.06 * _noise(shape, 30, random), 0.1, None)
    canvas = _Canvas(0.06 + 0.01 * fibres, eosin, np.zeros(shape), _noise(shape, 1.5, random))
    occupied = np.zeros(shape, bool)
    for centre in _scattered(shape, 150, random):
        here = _pixel(centre, shape)
        if where[here] and not occupied[here]:
            _draw_gland(canvas, occupied, centre=centre, radius=random.uniform(34, 58), random=random)
    slope = np.arctan2(*np.gradient(ndimage.gaussian_filter(fibres, 3)))
    for centre in _scattered(shape, 27, random):
        here = _pixel(centre, shape)
        if where[here] and not occupied[here] and random.random() < 0.7:
            radii = (random.uniform(6.5, 10), random.uniform(1.7, 2.6))
            canvas.stamp_nucleus(centre, radii, slope[here] + np.pi / 2, random.uniform(0.8, 1.2))
    return canvas.densities(), occupied


def _pixel(point: np.ndarray, shape: tuple[int, int]) -> tuple[int, ...]:
    """The pixel at a point, or the nearest one inside."""
    return tuple(int(np.clip(value, 0, side - 1)) for value, side in zip(point, shape))


def _draw_gland(
    canvas: _Canvas, occupied: np.ndarray, *, centre: np.ndarray, radius: float, random: np.random.Generator
) -> None:
    """Draw one gland in place: an empty lumen, a ring of cytoplasm, tall nuclei along the outer edge."""
    phases, lobes = random.uniform(0, 2 * np.pi, 2), random.uniform(0.05, 0.14, 2)

    def edge(angle: np.ndarray) -> np.ndarray:
        return radius * (1 + lobes[0] * np.cos(2 * angle + phases[0]) + lobes[1] * np.cos(3 * angle + phases[1]))

    here, dy, dx = canvas.window(centre, 1.4 * radius)
    inward = edge(np.arctan2(dy, dx)) - np.hypot(dy, dx)
    wall, lumen = np.clip(inward / 2, 0, 1), np.clip((inward - 22) / 2, 0, 1)
    haematoxylin, eosin = canvas.haematoxylin[here], canvas.eosin[here]
    haematoxylin += wall * (0.16 - haematoxylin) - 0.15 * lumen
    eosin += wall * (0.34 + 0.03 * canvas.chromatin[here] - eosin)
    eosin -= lumen * (eosin - 0.02)
    occupied[here] |= inward > -6
    for angle in np.arange(0, 2 * np.pi, 7.2 / radius):
        distance = edge(angle) - random.uniform(7, 11)
        point = centre + distance * np.array([np.sin(angle), np.cos(angle)])
        radii = (random.uniform(5, 7), random.uniform(2.7, 3.6))
        canvas.stamp_nucleus(point, radii, angle, random.uniform(0.9, 1.25))


def _pen_stroke(shape: tuple[int, int], tissue: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A stroke across the emptiest corner: float (H, W), opacity of the ink."""
    height, width = shape
    rows, columns = np.mgrid[:height, :width]
    corners = [(0, 0), (0, width), (height, 0), (height, width)]
    reach = 0.2 * min(shape)
    y, x = min(corners, key=lambda corner: tissue[np.hypot(rows - corner[0], columns - corner[1]) < 1.5 * reach].sum())
    distance = np.hypot(rows - y, columns - x) + 4 * _noise(shape, 25, random)
    stroke = ndimage.gaussian_filter((np.abs(distance - reach * 0.75) < 0.16 * reach).astype(float), 2.5)
    return stroke * (0.85 + 0.05 * _noise(shape, 10, random))
