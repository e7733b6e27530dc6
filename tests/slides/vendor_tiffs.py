"""Small slides in vendors' TIFFs whose pages must be assembled, laid out as OpenSlide's readers expect."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

_TILE_PX = 64
_LOSSLESS = {"photometric": "rgb", "compression": "deflate", "metadata": None}
_TILED = {"tile": (_TILE_PX, _TILE_PX), **_LOSSLESS}
_LONG, _SIGNED, _FLOAT, _BYTES = 4, 9, 11, 1

Box = tuple[int, int, int, int]
"""Left, top, width and height in level-0 px."""


def write_leica(
    path: Path, picture: np.ndarray, areas: Sequence[Box], light: str = "brightfield", mpp: float = 0.5
) -> Path:
    """Leica's SCN: an image of the whole slide first, then each scanned area of uint8 (H, W, 3) with two levels."""
    nm = round(1000 * mpp)
    height, width = picture.shape[:2]
    macro = _view((0, 0, width, height), nm, [(0, width // 8, height // 8)], "brightfield")
    views = [
        _view(box, nm, [(1 + 2 * n, *box[2:]), (2 + 2 * n, box[2] // 2, box[3] // 2)], light)
        for n, box in enumerate(areas)
    ]
    namespace = "http://www.leica-microsystems.com/scn/2010/10/01"
    size = f'sizeX="{width * nm}" sizeY="{height * nm}"'
    xml = f'<scn xmlns="{namespace}"><collection {size}>{macro}{"".join(views)}</collection></scn>'
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(np.asarray(Image.fromarray(picture).reduce(8)), description=xml, **_TILED)
        for left, top, width, height in areas:
            area = picture[top : top + height, left : left + width]
            tiff.write(area, resolution=(10_000 / mpp,) * 2, resolutionunit="CENTIMETER", **_TILED)
            tiff.write(np.asarray(Image.fromarray(area).reduce(2)), **_TILED)
    return path


def _view(box: Box, nm: int, pages: Sequence[tuple[int, int, int]], light: str) -> str:
    left, top, width, height = (side * nm for side in box)
    dimensions = "".join(f'<dimension ifd="{page}" sizeX="{w}" sizeY="{h}"/>' for page, w, h in pages)
    return (
        f'<image><view sizeX="{width}" sizeY="{height}" offsetX="{left}" offsetY="{top}"/>'
        f"<scanSettings><objectiveSettings><objective>20</objective></objectiveSettings><illuminationSettings>"
        f"<illuminationSource>{light}</illuminationSource></illuminationSettings></scanSettings>"
        f"<pixels>{dimensions}</pixels></image>"
    )


def write_ventana(
    path: Path, picture: np.ndarray, tiles: tuple[int, int], overlap_px: int, direction: str = "RIGHT"
) -> Path:
    """Ventana's BIF: columns x rows of tiles that overlap in the slide and are side by side in the file."""
    columns, rows = tiles
    step = _TILE_PX - overlap_px
    grid = [[picture[y * step :, x * step :][:_TILE_PX, :_TILE_PX] for x in range(columns)] for y in range(rows)]
    stored = np.concatenate([np.concatenate(row, 1) for row in grid])
    joints = [
        _joint(direction, _number(x, y, tiles), _number(x + 1, y, tiles), overlap_px, 0)
        for y in range(rows)
        for x in range(columns - 1)
    ]
    joints += [
        _joint("UP", _number(x, y, tiles), _number(x, y - 1, tiles), 0, overlap_px)
        for y in range(1, rows)
        for x in range(columns)
    ]
    size = f'Width="{_TILE_PX}" Height="{_TILE_PX}" NumCols="{columns}" NumRows="{rows}"'
    info = f'<ImageInfo AOIScanned="1" Pos-X="0" Pos-Y="0" {size}>{"".join(joints)}</ImageInfo>'
    origin = '<AoiOrigin><AOI0 OriginX="0" OriginY="0"/></AoiOrigin>'
    stitching = f"<EncodeInfo><SlideStitchInfo>{info}</SlideStitchInfo>{origin}</EncodeInfo>"
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        macro = np.asarray(Image.fromarray(picture).reduce(8))
        scan = '<iScan Magnification="20" ScanRes="0.5"/>'
        tiff.write(macro, description="Label_Image", extratags=[_xml(scan)], **_LOSSLESS)
        tiff.write(stored, description="level=0 mag=20 quality=95", extratags=[_xml(stitching)], **_TILED)
        tiff.write(np.asarray(Image.fromarray(stored).reduce(2)), description="level=1 mag=10 quality=95", **_TILED)
    return path


def _number(column: int, row: int, tiles: tuple[int, int]) -> int:
    """Number of a tile, from 1 at the lower left corner, alternately to the right and to the left."""
    columns, rows = tiles
    from_below = rows - 1 - row
    return from_below * columns + (columns - 1 - column if from_below % 2 else column) + 1


def _joint(direction: str, first: int, second: int, overlap_x: int, overlap_y: int) -> str:
    overlap = f'OverlapX="{overlap_x}" OverlapY="{overlap_y}" Confidence="100"'
    return f'<TileJointInfo Direction="{direction}" Tile1="{first}" Tile2="{second}" {overlap}/>'


def _xml(text: str) -> tuple[int, int, int, bytes, bool]:
    return 700, _BYTES, len(text), text.encode(), True


def write_hamamatsu(path: Path, planes: Sequence[tuple[int, np.ndarray]], mpp: float = 0.5) -> Path:
    """Hamamatsu's NDPI: a JPEG with restart markers of each focal plane (0 is in focus), and half of each."""
    with tifffile.TiffWriter(path) as tiff:
        for factor in (1, 2):
            for plane, picture in planes:
                image = Image.fromarray(picture).reduce(factor)
                stream = io.BytesIO()
                image.save(stream, "JPEG", quality=95, subsampling=0, restart_marker_blocks=image.width // 8 // 4)
                tags = [
                    (65420, _LONG, 1, 1, True),
                    (65421, _FLOAT, 1, 20.0 / factor, True),
                    (65424, _SIGNED, 1, plane, True),
                ]
                tiff.write(
                    iter([stream.getvalue()]),
                    shape=(image.height, image.width, 3),
                    dtype=np.uint8,
                    rowsperstrip=image.height,
                    photometric="ycbcr",
                    subsampling=(1, 1),
                    compression="jpeg",
                    resolution=(10_000 / mpp / factor,) * 2,
                    resolutionunit="CENTIMETER",
                    extratags=tags,
                    metadata=None,
                )
    return path
