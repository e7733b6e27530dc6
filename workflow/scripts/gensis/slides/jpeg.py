"""JPEG tiles in TIFFs: abbreviated streams, with tables and colour space in the tags of the file."""

import numpy as np
import simplejpeg

_START, _END = b"\xff\xd8", b"\xff\xd9"
_APP14 = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"  # ends with the transform: 0 is RGB, 1 is YCbCr
_MARKERS_OF_COLOUR = (b"\xff\xe0", b"\xff\xee")
_LEFT_OVER = "extraneous bytes before marker 0xd9"


def complete(tile: bytes, tables: bytes | None, is_rgb: bool) -> bytes:
    """Make a JPEG file of a tile without decoding it: its tables are inserted, its colour space is stated.

    Args:
        tile: the tile's bytes in the TIFF.
        tables: value of the tag JPEGTables, if there is one.
        is_rgb: whether the tag PhotometricInterpretation is RGB; a marker in the tile itself takes precedence.
    """
    colour = b"" if _states_colour(tile) else _APP14 + (b"\0" if is_rgb else b"\1")
    return _START + colour + (tables or b"")[len(_START) : -len(_END)] + tile[len(_START) :]


def _states_colour(tile: bytes) -> bool:
    """Whether there is an APP0 (JFIF) or APP14 (Adobe) marker before the image data."""
    at = len(_START)
    while tile[at : at + 1] == b"\xff" and tile[at : at + 2] != b"\xff\xda":
        if tile[at : at + 2] in _MARKERS_OF_COLOUR:
            return True
        at += 2 + int.from_bytes(tile[at + 2 : at + 4])
    return False


def jpeg_size(encoded: bytes) -> tuple[int, int]:
    """Width and height from a JPEG's header.

    Raises:
        ValueError: there is no valid header.
    """
    height, width = simplejpeg.decode_jpeg_header(encoded)[:2]
    return width, height


def decode_strictly(encoded: bytes, reduction: int = 1) -> np.ndarray:
    """Decode a JPEG strictly: for most damage, libjpeg only warns, which is an error here.

    libjpeg also warns of zeros after the image data, with which some writers fill up a tile. These are removed.
    Any other bytes that are left over are data that damage has shifted.

    Args:
        encoded: the file.
        reduction: 1, 2, 4 or 8: decode at that fraction of the size, which is faster.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        ValueError: it is damaged, or not a JPEG.
    """
    try:
        return _decode(encoded, reduction)
    except ValueError as error:
        if _LEFT_OVER not in str(error):
            raise
        return _decode(_without_filling(encoded), reduction)


def _without_filling(encoded: bytes) -> bytes:
    """A JPEG without the zeros before its end; all are removed, since damaged data would take some for pixels."""
    end = encoded.rfind(_END)
    data = encoded[:end].rstrip(b"\0")
    return data + (b"\0" if data.endswith(b"\xff") else b"") + encoded[end:]  # 255 is stored as 255, 0


def _decode(encoded: bytes, reduction: int) -> np.ndarray:
    if reduction == 1:
        return simplejpeg.decode_jpeg(encoded, strict=True)
    width, height = (-(-side // reduction) for side in jpeg_size(encoded))
    return simplejpeg.decode_jpeg(encoded, min_height=height, min_width=width, min_factor=reduction, strict=True)
