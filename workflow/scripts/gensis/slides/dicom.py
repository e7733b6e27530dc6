"""Pixel format of a DICOM file from its header (PS3.5 and PS3.10), to explain why OpenSlide does not open the file."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MAGIC_AT, _MAGIC = 128, b"DICM"
_HEADER_BYTES = 1 << 24  # the tags that are needed come before the list of frames
_TRANSFER_SYNTAX, _PHOTOMETRIC, _LAST = (0x0002, 0x0010), (0x0028, 0x0004), (0x0028, 0x0100)
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_META_GROUP, _DELIMITERS, _ITEM = 0x0002, 0xFFFE, 0xE000
_LONGEST_HEAD = 12  # bytes of a tag, its type and length
_UNDEFINED = 0xFFFFFFFF
_IMPLICIT, _DEFLATED, _BIG_ENDIAN = (f"1.2.840.10008.1.2{suffix}" for suffix in ("", ".1.99", ".2"))
_CONVERT = "bfconvert -bigtiff -tilex 512 -tiley 512 -compression JPEG IN.dcm OUT.ome.tiff"
_NAMES = {
    _IMPLICIT: "uncompressed, implicit VR",
    "1.2.840.10008.1.2.1": "uncompressed",
    _DEFLATED: "deflated",
    _BIG_ENDIAN: "uncompressed, big endian",
    "1.2.840.10008.1.2.4.50": "JPEG baseline",
    "1.2.840.10008.1.2.4.51": "JPEG extended",
    "1.2.840.10008.1.2.4.57": "JPEG lossless",
    "1.2.840.10008.1.2.4.70": "JPEG lossless",
    "1.2.840.10008.1.2.4.80": "JPEG-LS lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "High-Throughput JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.203": "High-Throughput JPEG 2000",
    "1.2.840.10008.1.2.5": "RLE",
}


@dataclass(frozen=True)
class PixelFormat:
    """How a DICOM file stores its pixels; empty if its header does not state it."""

    transfer_syntax: str
    photometric: str

    def __str__(self) -> str:
        name = _NAMES.get(self.transfer_syntax)
        syntax = f"{self.transfer_syntax or 'unknown'}{f' ({name})' if name else ''}"
        return f"transfer syntax {syntax}, photometric interpretation {self.photometric or 'unknown'}"


def why_refused(path: Path, refusal: Exception) -> str | None:
    """Error message for a DICOM file whose pixel format OpenSlide does not support; None for any other file."""
    stored = pixel_format(path) if "Unsupported" in str(refusal) else None  # otherwise it is damaged
    if stored is None:
        return None
    return f"OpenSlide does not support this DICOM ({stored}; {refusal}): convert it with Bio-Formats: {_CONVERT}"


def pixel_format(path: Path) -> PixelFormat | None:
    """Read the header of a DICOM file; None for any other file. Damaged tags are left empty."""
    with open(path, "rb") as stream:
        header = stream.read(_HEADER_BYTES)
    if header[_MAGIC_AT:][: len(_MAGIC)] != _MAGIC:
        return None
    found = {_TRANSFER_SYNTAX: "", _PHOTOMETRIC: ""}
    for tag, value in _elements(header):
        if tag in found:
            found[tag] = value.decode("ascii", "replace").strip(" \0")
        if tag >= _LAST or found[_TRANSFER_SYNTAX] in (_DEFLATED, _BIG_ENDIAN):
            break
    return PixelFormat(found[_TRANSFER_SYNTAX], found[_PHOTOMETRIC])


def _elements(header: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Tag (group and element) and value of the top-level elements of a data set; sequences are skipped."""
    at, depth, is_implicit = _MAGIC_AT + len(_MAGIC), 0, False
    while at + _LONGEST_HEAD <= len(header):
        group, element, vr, short, long = struct.unpack_from("<HH2sHI", header, at)
        tag, either = (group, element), short << 16 | int.from_bytes(vr, "little")
        if group == _DELIMITERS:
            at += 8
            if element == _ITEM and either == _UNDEFINED:
                depth += 1
            elif element == _ITEM:
                at += either
            else:
                depth -= 1
            continue
        if is_implicit and group > _META_GROUP:
            length, at = either, at + 8
        elif vr in _LONG_VRS:
            length, at = long, at + 12
        else:
            length, at = short, at + 8
        if length == _UNDEFINED:  # a sequence, whose items follow
            depth += 1
            continue
        if depth == 0 and at + length <= len(header):
            yield tag, header[at : at + length]
        if tag == _TRANSFER_SYNTAX:
            is_implicit = header[at : at + length].strip(b" \0") == _IMPLICIT.encode()
        at += length
