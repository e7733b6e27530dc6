"""One level of a TIFF's pyramid: the positions of its tiles in the file, and their decoding."""

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image
from tifffile import COMPRESSION, PHOTOMETRIC, PLANARCONFIG, TIFF, TiffPage

from gensis.slides.jpeg import complete, decode_strictly, jpeg_size
from gensis.slides.outcomes import BRIGHTFIELD_ONLY, Unusable
from gensis.slides.reader import Unsupported, over_white

_LARGEST_TILE_BYTES = 1 << 29
_METADATA_BYTES = 1 << 18  # such as a colour profile
_JPEG_2000 = (COMPRESSION.JPEG2000, COMPRESSION.APERIO_JP2000_RGB)
# Codecs of whole images, whose headers state the size.
_WITH_SIZES = (*_JPEG_2000, COMPRESSION.JPEG, COMPRESSION.WEBP, COMPRESSION.PNG)
_CHROMA = {(2, 1): "422", (2, 2): "420"}
# Codecs whose decoders return RGB if the tag says YCbCr; tifffile returns the stored values of all others.
_CONVERT_YCBCR = (
    *_JPEG_2000,
    COMPRESSION.JPEG,
    COMPRESSION.OJPEG,
    COMPRESSION.ALT_JPEG,
    COMPRESSION.JPEG_LOSSY,
    COMPRESSION.WEBP,
)
_CHANNELS = {PHOTOMETRIC.RGB: (3, 4), PHOTOMETRIC.YCBCR: (3,), PHOTOMETRIC.MINISBLACK: (1,)}


class TiffLevel:
    """One level of the pyramid: a page of the file, in tiles or in strips, which are tiles of the page's width."""

    def __init__(self, page: TiffPage):
        _check(page)
        self.page = page
        self.size = (page.imagewidth, page.imagelength)
        self.tile_size = (page.tilewidth, page.tilelength) if page.is_tiled else (page.imagewidth, page.rowsperstrip)
        self.columns, self.rows = (-(-side // tile) for side, tile in zip(self.size, self.tile_size))
        if len(page.dataoffsets) != self.columns * self.rows or len(page.databytecounts) != len(page.dataoffsets):
            raise Unsupported(f"it lists {len(page.dataoffsets)} tiles, but the image has {self.columns} x {self.rows}")
        raw_bytes = page.chunks[0] * page.chunks[1] * page.samplesperpixel
        self.largest_stored_bytes = 2 * raw_bytes + _METADATA_BYTES
        """Upper limit of the size of an encoded tile."""
        self.is_colour_jpeg = page.compression == COMPRESSION.JPEG and page.samplesperpixel == 3
        is_ycbcr = self.is_colour_jpeg and page.photometric == PHOTOMETRIC.YCBCR
        self.chroma = _CHROMA.get(page.subsampling, "444") if is_ycbcr else "444"
        is_colour_jpeg_2000 = page.compression in _JPEG_2000 and page.samplesperpixel == 3
        self.holds_smaller_versions = self.is_colour_jpeg or is_colour_jpeg_2000

    def index(self, row: int, column: int) -> int:
        """Number of a tile in the file."""
        return row * self.columns + column

    def tiles(self, x: int, y: int, width: int, height: int) -> Iterator[tuple[int, int]]:
        """Row and column of each tile that a rectangle overlaps."""
        tile_width, tile_height = self.tile_size
        for row in range(max(y // tile_height, 0), min(-(-(y + height) // tile_height), self.rows)):
            for column in range(max(x // tile_width, 0), min(-(-(x + width) // tile_width), self.columns)):
                yield row, column

    def decode(self, stored: bytes, index: int, reduction: int) -> np.ndarray:
        """Decode the bytes of a tile: uint8 (H, W, 3), smaller by `reduction` if the codec supports it."""
        if self.is_colour_jpeg:
            stored = self.jpeg(stored)
            self._check_claim(jpeg_size(stored))
            pixels = decode_strictly(stored, reduction)
        else:
            if self.page.compression in _WITH_SIZES:
                self._check_claim(_size(stored))
            pixels = _decode_smaller(stored, reduction) if reduction > 1 else self._decode_whole(stored, index)
        return self._inside(pixels, index, reduction)

    def _decode_whole(self, stored: bytes, index: int) -> np.ndarray:
        decoded, _, _ = self.page.decode(stored, index, jpegtables=self.page.jpegtables)
        return _in_colour(decoded[0])

    def jpeg(self, stored: bytes) -> bytes:
        """A complete JPEG file from a tile's bytes."""
        return complete(stored, self.page.jpegtables, self.page.photometric == PHOTOMETRIC.RGB)

    def _check_claim(self, size: tuple[int, int]) -> None:
        """Refuse an image that claims to be much larger than its tile, before memory is allocated for it."""
        if any(claimed > 2 * side for claimed, side in zip(size, self.tile_size)):
            raise ValueError(f"it claims to be {size[0]} x {size[1]} px")

    def _inside(self, pixels: np.ndarray, index: int, reduction: int) -> np.ndarray:
        """Remove the padding of tiles at the right and lower edge of the level."""
        row, column = divmod(index, self.columns)
        width, height = (
            -(-min(tile, side - at * tile) // reduction)
            for tile, side, at in zip(self.tile_size, self.size, (column, row))
        )
        if pixels.shape[0] < height or pixels.shape[1] < width:
            raise ValueError(f"{pixels.shape[1]} x {pixels.shape[0]} px instead of {width} x {height}")
        return pixels[:height, :width]


def _in_colour(pixels: np.ndarray) -> np.ndarray:
    """Convert uint8 (H, W, 1), (H, W, 3) or (H, W, 4) to RGB, composited on white."""
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    return np.asarray(over_white(Image.fromarray(pixels, "RGBA"))) if pixels.shape[2] == 4 else pixels


def _size(stored: bytes) -> tuple[int, int]:
    """Width and height from the header of an encoded image."""
    with Image.open(io.BytesIO(stored), formats=("JPEG", "JPEG2000", "WEBP", "PNG")) as image:
        return image.size


def _decode_smaller(stored: bytes, reduction: int) -> np.ndarray:
    """Decode JPEG 2000 at a fraction of its size, by omitting the finest wavelets."""
    with Image.open(io.BytesIO(stored)) as image:
        image.reduce = reduction.bit_length() - 1
        return np.asarray(image.convert("RGB"))


def _check(page: TiffPage) -> None:
    """Refuse pages that are not 8-bit colour or grey images, and tiles that do not fit in memory.

    Pages that OpenSlide may be able to read raise `Unsupported`; those that it would show wrongly raise `Unusable`.
    """
    if page.compression not in TIFF.DECOMPRESSORS:
        raise Unsupported(f"its compression {page.compression} is not supported")
    numbers = (page.imagewidth, page.imagelength, *page.chunks, *page.dataoffsets[:1], *page.databytecounts[:1])
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise Unsupported(f"its sizes and offsets are not valid integers: {numbers}")
    if page.bitspersample > 8:
        reason = f"it has {page.bitspersample} bits per channel, like images of fluorescence or scientific cameras"
        raise Unusable("unsupported", f"{reason}; {BRIGHTFIELD_ONLY}")
    if page.samplesperpixel == 2 or page.samplesperpixel > 4:
        reason = f"it has {page.samplesperpixel} channels, like fluorescence"
        raise Unusable("unsupported", f"{reason}; {BRIGHTFIELD_ONLY}")
    if page.samplesperpixel not in _CHANNELS.get(page.photometric, ()):
        colours = PHOTOMETRIC(page.photometric).name
        raise Unsupported(f"its pixels are {colours} with {page.samplesperpixel} channels, not RGB")
    codec = COMPRESSION(page.compression)
    is_ycbcr = page.photometric == PHOTOMETRIC.YCBCR and codec not in _CONVERT_YCBCR
    if is_ycbcr or codec == COMPRESSION.APERIO_JP2000_YCBC:
        raise Unsupported(f"its pixels are YCbCr, compressed with {codec.name}: export it as RGB")
    if page.dtype != np.uint8 or page.bitspersample != 8:
        raise Unsupported(f"it has {page.bitspersample} bits per channel, not 8")
    if page.planarconfig != PLANARCONFIG.CONTIG or page.imagedepth != 1:
        raise Unsupported("its colours are in separate planes")
    if not page.is_tiled and not page.rowsperstrip:
        raise Unsupported("it has neither tiles nor strips")
    height, width = page.chunks[:2]
    if height * width * page.samplesperpixel > _LARGEST_TILE_BYTES:
        raise Unsupported(f"its tiles of {width} x {height} px do not fit in memory")
