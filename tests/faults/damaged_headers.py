"""Small files of every supported format, and damage to their headers."""

import random
import re
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from PIL import Image

from gensis.slides.drawing import draw_slide

_ABSURD = (0, 1, 2, 3, 255, 32767, 65535, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
_DULL_TAGS = ("Software", "DateTime", "Artist", "Copyright")
_KINDS_OF_IMAGE = {
    "jpeg": {"compression": "jpeg", "compressionargs": {"level": 80}},
    "jpeg2000": {"compression": "jpeg2000"},
    "aperio_jpeg2000": {"compression": 33005},
    "webp": {"compression": "webp"},
    "deflate": {"compression": "deflate", "predictor": True},
    "lzw": {"compression": "lzw"},
    "png": {"compression": "png"},
    "packbits": {"compression": "packbits"},
    "big": {"compression": "jpeg"},
    "strips": {"compression": "deflate", "tile": None, "rowsperstrip": 40},
}


def sound_files(folder: Path) -> list[Path]:
    """Write a small undamaged file of each supported format."""
    picture = draw_slide("lymphoid", width_px=320, height_px=256, seed=0)
    for name, options in _KINDS_OF_IMAGE.items():
        _write_pyramid(folder / f"{name}.tiff", picture, bigtiff=name == "big", **options)
    _write_pyramid(folder / "aperio.svs", picture, compression="jpeg", description="Aperio Image Library v1|MPP = 0.5")
    with tifffile.TiffWriter(folder / "sub.ome.tif", ome=True) as tiff:
        options = {"photometric": "rgb", "tile": (64, 64), "compression": "deflate"}
        tiff.write(picture, subifds=1, metadata={"axes": "YXS", "PhysicalSizeX": 0.5}, **options)
        tiff.write(picture[::2, ::2], subfiletype=1, **options)
    tifffile.imwrite(folder / "grey.tiff", picture[..., 1], tile=(64, 64), metadata=None)
    Image.fromarray(picture).save(folder / "picture.png")
    Image.fromarray(picture).save(folder / "picture.jpg")
    return sorted(folder.iterdir())


def _write_pyramid(
    path: Path, picture: np.ndarray, bigtiff: bool = False, description: str | None = None, **options: Any
) -> None:
    options = {"photometric": "rgb", "tile": (64, 64), "metadata": None, "description": description, **options}
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as tiff:
        tiff.write(picture, resolution=(20_000, 20_000), resolutionunit="CENTIMETER", **options)
        tiff.write(picture[::2, ::2], subfiletype=1, **options)


def damaged(path: Path, dice: random.Random) -> bytes:
    """A file's bytes with one to three kinds of damage, mostly in its header."""
    content = bytearray(path.read_bytes())
    tags = _tags(path)
    for _ in range(dice.choice((1, 1, 2, 3))):
        kinds = [_flip_in_head, _flip_anywhere, _overwrite, _cut_short, _resize_jpeg]
        if path.suffix == ".png":
            kinds += [_resize_png] * 4
        if tags:
            kinds += [_absurd_value, _absurd_count, _other_place, _other_type, _other_tag, _flip_in_tag] * 2
            kinds += [_loop, _flip_in_value]
        if content:
            dice.choice(kinds)(content, dice, tags)
    return bytes(content)


class Tag(NamedTuple):
    """One tag of a TIFF: its value, and its position in the file."""

    code: int
    number: int
    """Its value, or how many it has."""
    place: int
    value_place: int
    value_bytes: int
    item_bytes: int
    field_bytes: int
    """Size of its count, and of its value or the value's place: 4, or 8 in a BigTIFF."""
    page_place: int


Tags = list[Tag]


def _tags(path: Path) -> Tags:
    """All relevant tags of a TIFF."""
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = [page for series in tiff.series for level in series.levels for page in level.pages]
            field_bytes = 8 if tiff.is_bigtiff else 4
            return [
                Tag(
                    code=tag.code,
                    number=tag.value if isinstance(tag.value, int) else tag.count,
                    place=tag.offset,
                    value_place=tag.valueoffset,
                    value_bytes=tag.valuebytecount,
                    item_bytes=min(2 if tag.dtype == tifffile.DATATYPE.SHORT else 4, tag.valuebytecount),
                    field_bytes=field_bytes,
                    page_place=page.offset,
                )
                for page in pages
                for tag in page.tags
                if tag.name not in _DULL_TAGS
            ]
    except tifffile.TiffFileError:
        return []


def _put(content: bytearray, at: int, values: bytes) -> None:
    if 0 <= at <= len(content) - len(values):
        content[at : at + len(values)] = values


def _flip_in_head(content: bytearray, dice: random.Random, tags: Tags) -> None:
    for _ in range(dice.randint(1, 4)):
        content[dice.randrange(min(len(content), 1024))] = dice.randrange(256)


def _flip_anywhere(content: bytearray, dice: random.Random, tags: Tags) -> None:
    for _ in range(dice.randint(1, 20)):
        content[dice.randrange(len(content))] = dice.randrange(256)


def _overwrite(content: bytearray, dice: random.Random, tags: Tags) -> None:
    length = dice.randint(1, max(1, len(content) // 4))
    filling = dice.choice((bytes(length), b"\xff" * length, dice.randbytes(length)))
    _put(content, dice.randrange(len(content)), filling)


def _cut_short(content: bytearray, dice: random.Random, tags: Tags) -> None:
    del content[dice.randrange(len(content)) :]


def _resize_jpeg(content: bytearray, dice: random.Random, tags: Tags) -> None:
    """Change the size in the header of one JPEG, JPEG 2000 or WebP image, so that decoders allocate memory."""
    for marker, skip, width in ((b"\xff\xc0", 5, ">H"), (b"\xff\x51", 6, ">I"), (b"\x9d\x01\x2a", 3, "<H")):
        places = [found.start() for found in re.finditer(re.escape(marker), content)]
        if places:
            values = [value for value in _ABSURD if value < 1 << 8 * struct.calcsize(width)]
            at = dice.choice(places) + skip
            for n in range(2):
                if dice.random() < 0.8:
                    _put(content, at + n * struct.calcsize(width), struct.pack(width, dice.choice(values)))


def _resize_png(content: bytearray, dice: random.Random, tags: Tags) -> None:
    """Change size, depth or colour type in a PNG's header, with a correct checksum."""
    if dice.random() < 0.6:
        _put(content, 16 + 4 * dice.randrange(2), struct.pack(">I", dice.choice(_ABSURD)))
    else:
        _put(content, 24 + dice.randrange(5), bytes([dice.randrange(17)]))
    _put(content, 29, struct.pack(">I", zlib.crc32(content[12:29])))


def _number(tag: Tag, dice: random.Random, width: int) -> bytes:
    own = tag.number
    value = dice.choice((*_ABSURD, own + 1, own - 1, own * 2, own // 2, dice.getrandbits(32), 1 << 62))
    return (value % (1 << 8 * width)).to_bytes(width, "little")


def _absurd_value(content: bytearray, dice: random.Random, tags: Tags) -> None:
    tag = dice.choice(tags)
    at = tag.value_place + dice.randrange(tag.value_bytes // tag.item_bytes) * tag.item_bytes
    _put(content, at, _number(tag, dice, tag.item_bytes))


def _absurd_count(content: bytearray, dice: random.Random, tags: Tags) -> None:
    tag = dice.choice(tags)
    _put(content, tag.place + 4, _number(tag, dice, tag.field_bytes))


def _other_place(content: bytearray, dice: random.Random, tags: Tags) -> None:
    """Change the position of a tag's value, or the value itself if it is stored in the tag."""
    tag, size = dice.choice(tags), len(content)
    place = dice.choice((0, 4, tag.place, size - 1, size, dice.randrange(size), (1 << 32) - 1))
    _put(content, tag.place + 4 + tag.field_bytes, place.to_bytes(tag.field_bytes, "little"))


def _other_type(content: bytearray, dice: random.Random, tags: Tags) -> None:
    _put(content, dice.choice(tags).place + 2, struct.pack("<H", dice.choice((0, 99, *range(1, 19)))))


def _other_tag(content: bytearray, dice: random.Random, tags: Tags) -> None:
    code = dice.choice((dice.choice(tags).code, dice.randrange(65536), 330, 34665, 33550, 34118, 65420, 50839))
    _put(content, dice.choice(tags).place, struct.pack("<H", code))


def _flip_in_tag(content: bytearray, dice: random.Random, tags: Tags) -> None:
    _put(content, dice.choice(tags).place + dice.randrange(12), dice.randbytes(1))


def _flip_in_value(content: bytearray, dice: random.Random, tags: Tags) -> None:
    tag = dice.choice(tags)
    for _ in range(dice.randint(1, 4)):
        _put(content, tag.value_place + dice.randrange(tag.value_bytes), dice.randbytes(1))


def _loop(content: bytearray, dice: random.Random, tags: Tags) -> None:
    """Point to an earlier page, or to any position, as the next page."""
    tag = dice.choice(tags)
    last = max(other.place for other in tags if other.page_place == tag.page_place)
    first_page = min(other.page_place for other in tags)
    target = dice.choice((tag.page_place, first_page, tag.page_place + 2, dice.randrange(len(content))))
    _put(content, last + 4 + 2 * tag.field_bytes, target.to_bytes(tag.field_bytes, "little"))
