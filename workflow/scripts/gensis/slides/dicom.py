"""Header of a DICOM file (PS3.5 and PS3.10): its series and pixel format, also where no DICOM package is installed."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MAGIC_AT, _MAGIC = 128, b"DICM"
PREFIX_BYTES = _MAGIC_AT + len(_MAGIC)
"""Bytes at the start of a file that `is_dicom` needs."""
_HEADER_BYTES = 1 << 24  # the tags that are needed come before the list of frames
_SERIES_WITHIN_BYTES = 1 << 20  # a folder may hold many large instances
_TRANSFER_SYNTAX, _SERIES, _PHOTOMETRIC = (0x0002, 0x0010), (0x0020, 0x000E), (0x0028, 0x0004)
_SAMPLES, _BITS, _FOCAL_PLANES = (0x0028, 0x0002), (0x0028, 0x0100), (0x0048, 0x0303)
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


@dataclass(frozen=True, kw_only=True)
class Header:
    """Fields of a DICOM file; empty or 0 if its header does not state them."""

    transfer_syntax: str
    photometric: str
    series: str
    """SeriesInstanceUID, which the instances of a slide have in common."""
    samples: int
    """Channels per pixel."""
    bits: int
    """Bits allocated per channel."""
    focal_planes: int

    @property
    def is_truncated(self) -> bool:
        """Whether the file ends, or is damaged, before its pixels are described."""
        return not self.bits and self.transfer_syntax not in (_DEFLATED, _BIG_ENDIAN)

    def __str__(self) -> str:
        name = _NAMES.get(self.transfer_syntax)
        syntax = f"{self.transfer_syntax or 'unknown'}{f' ({name})' if name else ''}"
        return f"transfer syntax {syntax}, photometric interpretation {self.photometric or 'unknown'}"


def why_refused(path: Path, refusal: Exception) -> str | None:
    """Error message for a DICOM file whose pixel format OpenSlide does not support; None for any other file."""
    stored = read_header(path) if "Unsupported" in str(refusal) else None  # otherwise it is damaged
    if stored is None or stored.is_truncated:
        return None
    return f"this DICOM is not supported ({stored}; {refusal}): convert it with Bio-Formats: {_CONVERT}"


def is_dicom(head: bytes) -> bool:
    """Whether a file that begins with these bytes is DICOM (PS3.10, section 7.1)."""
    return head[_MAGIC_AT:PREFIX_BYTES] == _MAGIC


def read_header(path: Path, at_most_bytes: int = _HEADER_BYTES) -> Header | None:
    """Read the header of a DICOM file; None for any other file. Damaged tags are left empty."""
    with open(path, "rb") as stream:
        header = stream.read(at_most_bytes)
    if not is_dicom(header):
        return None
    found: dict[tuple[int, int], bytes] = {}
    for tag, value in _elements(header):
        found[tag] = value
        if tag >= _FOCAL_PLANES or (tag == _TRANSFER_SYNTAX and _text(value) in (_DEFLATED, _BIG_ENDIAN)):
            break
    return Header(
        transfer_syntax=_text(found.get(_TRANSFER_SYNTAX, b"")),
        photometric=_text(found.get(_PHOTOMETRIC, b"")),
        series=_text(found.get(_SERIES, b"")),
        samples=_number(found.get(_SAMPLES, b"")),
        bits=_number(found.get(_BITS, b"")),
        focal_planes=_number(found.get(_FOCAL_PLANES, b"")),
    )


def instances_by_series(folder: Path) -> dict[str, list[Path]]:
    """The DICOM files of a folder in the order of their names, by SeriesInstanceUID: a slide is a series."""
    result: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        header = read_header(file, _SERIES_WITHIN_BYTES) if file.is_file() else None
        if header is not None:
            result.setdefault(header.series, []).append(file)
    return result


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").strip(" \0")


def _number(value: bytes) -> int:
    return int.from_bytes(value, "little")


def _elements(header: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Tag (group and element) and value of the top-level elements of a data set; sequences are skipped."""
    at, depth, is_implicit = PREFIX_BYTES, 0, False
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
