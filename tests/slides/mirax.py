"""A small slide in the MIRAX format: <name>.mrxs, a preview, and <name>/ with Slidedat.ini, Index.dat, Data0000.dat.

A camera takes photos that overlap; each is divided into images of one size. A coarser level joins 2 x 2 images of the
finer one into an image, also across photos. Layout as OpenSlide's reader of MIRAX expects it.
"""

import io
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

IMAGE_PX, DIVISIONS, LEVELS = 64, 2, 3
PHOTO_PX = IMAGE_PX * DIVISIONS
_SLIDE_ID = "0123456789ABCDEF0123456789ABCDEF"

Photos = Mapping[tuple[int, int], tuple[int, int]]
"""Column and row of each photo that was taken: x and y of its upper left corner in level-0 px, multiples of 4."""


def write_mirax(path: Path, picture: np.ndarray, photos: Photos, overlap_px: int, mpp: float = 0.5) -> Path:
    """Write a slide with camera photos of uint8 (H, W, 3); return `path`, which ends in .mrxs."""
    folder = path.with_suffix("")
    folder.mkdir()
    columns, rows = (max(at[axis] for at in photos) + 1 for axis in (0, 1))
    data, levels = bytearray(), []
    level = _photographed(picture, photos)
    for n in range(LEVELS):
        levels.append([(_index(at, n, columns), *_append(data, _png(image))) for at, image in sorted(level.items())])
        level = _joined(level)
    positions = b"".join(
        struct.pack("<bii", 0, *photos.get((column, row), (0, 0))) for row in range(rows) for column in range(columns)
    )
    positions_at = _append(data, positions)
    (folder / "Data0000.dat").write_bytes(data)
    (folder / "Index.dat").write_bytes(_index_file(levels, positions_at))
    (folder / "Slidedat.ini").write_text(_slidedat(columns, rows, overlap_px, mpp), encoding="utf-8-sig")
    Image.new("RGB", (600, 400), (205, 130, 175)).save(path, "JPEG")
    return path


def _photographed(picture: np.ndarray, photos: Photos) -> dict[tuple[int, int], np.ndarray]:
    """Column and row of each image of the finest level, and its pixels."""
    return {
        (column * DIVISIONS + i, row * DIVISIONS + j): picture[
            y + j * IMAGE_PX : y + (j + 1) * IMAGE_PX, x + i * IMAGE_PX : x + (i + 1) * IMAGE_PX
        ]
        for (column, row), (x, y) in photos.items()
        for i in range(DIVISIONS)
        for j in range(DIVISIONS)
    }


def _joined(level: dict[tuple[int, int], np.ndarray]) -> dict[tuple[int, int], np.ndarray]:
    """The next coarser level; black if no photo was taken."""
    half = IMAGE_PX // 2
    coarser: dict[tuple[int, int], np.ndarray] = {}
    for (column, row), image in level.items():
        target = coarser.setdefault((column // 2, row // 2), np.zeros((IMAGE_PX, IMAGE_PX, 3), np.uint8))
        y, x = row % 2 * half, column % 2 * half
        target[y : y + half, x : x + half] = Image.fromarray(image).reduce(2)
    return coarser


def _index(at: tuple[int, int], level: int, columns: int) -> int:
    """Number of an image: that of the first image of the finest level in it."""
    return (at[1] << level) * columns * DIVISIONS + (at[0] << level)


def _append(data: bytearray, content: bytes) -> tuple[int, int]:
    """Position of the content in the file, and its length."""
    data += content
    return len(data) - len(content), len(content)


def _png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def _index_file(levels: list[list[tuple[int, int, int]]], positions_at: tuple[int, int]) -> bytes:
    """Pointers to lists of pages, of images by level and of other data (here the photos' positions)."""
    head = b"01.02" + _SLIDE_ID.encode()
    content = bytearray(head + bytes(8))

    def add(*numbers: int) -> int:
        content.extend(struct.pack(f"<{len(numbers)}i", *numbers))
        return len(content) - 4 * len(numbers)

    pages = [add(len(images), 0, *(n for image in images for n in (*image, 0))) for images in levels]
    by_level = add(*[add(0, page) for page in pages])
    others = add(add(0, add(1, 0, 0, 0, *positions_at, 0)))
    struct.pack_into("<ii", content, len(head), by_level, others)
    return bytes(content)


def _slidedat(columns: int, rows: int, overlap_px: int, mpp: float) -> str:
    groups: dict[str, dict[str, object]] = {
        "GENERAL": {
            "SLIDE_ID": _SLIDE_ID,
            "IMAGENUMBER_X": columns * DIVISIONS,
            "IMAGENUMBER_Y": rows * DIVISIONS,
            "OBJECTIVE_MAGNIFICATION": 20,
            "CameraImageDivisionsPerSide": DIVISIONS,
        },
        "HIERARCHICAL": {
            "HIER_COUNT": 1,
            "NONHIER_COUNT": 1,
            "INDEXFILE": "Index.dat",
            "HIER_0_NAME": "Slide zoom level",
            "HIER_0_COUNT": LEVELS,
            **{f"HIER_0_VAL_{n}_SECTION": f"LEVEL_{n}" for n in range(LEVELS)},
            "NONHIER_0_NAME": "VIMSLIDE_POSITION_BUFFER",
            "NONHIER_0_COUNT": 1,
        },
        "DATAFILE": {"FILE_COUNT": 1, "FILE_0": "Data0000.dat"},
    }
    for n in range(LEVELS):
        # Overlaps stay in the joined images, so a coarser level has fewer px of it in each of its images.
        groups[f"LEVEL_{n}"] = {
            "IMAGE_CONCAT_FACTOR": min(n, 1),
            "OVERLAP_X": overlap_px / 2**n,
            "OVERLAP_Y": overlap_px / 2**n,
            "MICROMETER_PER_PIXEL_X": mpp * 2**n,
            "MICROMETER_PER_PIXEL_Y": mpp * 2**n,
            "IMAGE_FILL_COLOR_BGR": 0xFFFFFF,
            "DIGITIZER_WIDTH": IMAGE_PX,
            "DIGITIZER_HEIGHT": IMAGE_PX,
            "IMAGE_FORMAT": "PNG",
        }
    return "\n".join(
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()) for group, keys in groups.items()
    )
