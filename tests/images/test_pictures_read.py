"""Supported and unsupported image formats: images made in memory, and their pixels after import."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from gensis.images.codec import JPEG, PNG, decode, decode_into, encode_png
from gensis.images.importing import Imported
from gensis.images.pictures import read_picture
from gensis.settings.datasets import FolderDataset

HEIGHT, WIDTH = 24, 40
NOISE = np.random.default_rng(0)
COLOUR = NOISE.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
GREY = COLOUR[..., 0].copy()
WIDE = NOISE.integers(0, 65536, (HEIGHT, WIDTH, 4)).astype(np.uint16)
PHOTO = (np.stack(np.meshgrid(np.arange(WIDTH) * 6, np.arange(HEIGHT) * 9), -1)[..., [0, 1, 0]]).astype(np.uint8)


class InMemory:
    """A source of one image."""

    keys, labels, groups = ["it"], None, None

    def __init__(self, encoded):
        self.read = lambda position: encoded


def stored(encoded, image_px=None):
    imported = Imported()
    found = list(
        imported.images(InMemory(encoded), np.array([0]), FolderDataset(kind="folder", path=".", image_px=image_px))
    )
    assert not imported.failed, imported.failed
    return found[0]


def saved(image, kind, **options):
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, kind, **options)
    return stream.getvalue()


def tiff(pixels, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def png(pixels, colour_type, depth=8, transparent=b"", size=None):
    """A PNG assembled by hand, since Pillow does not write every variant."""
    width, height = size or (pixels.shape[1], pixels.shape[0])
    if depth < 8:
        pixels = np.packbits(np.unpackbits(pixels[..., None], axis=-1)[..., -depth:].reshape(height, -1), axis=-1)
    rows = (b"\0" + row.astype(f">u{max(depth // 8, 1)}").tobytes() for row in pixels)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    between = chunk(b"tRNS", transparent) if transparent else b""
    data = chunk(b"IDAT", zlib.compress(b"".join(rows)))
    return b"\x89PNG\r\n\x1a\n" + header + between + data + chunk(b"IEND", b"")


def rgb(grey):
    return np.stack([grey] * 3, -1)


def over_white(colour, alpha):
    alpha = alpha[..., None] / 255
    return colour * alpha + 255 * (1 - alpha)


def naive_cmyk(image):
    ink = np.asarray(image.convert("CMYK")) / 255
    return 255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])


def cmyk(kind):
    """A CMYK JPEG as Adobe writes it: 255 is no ink."""
    inks = 255 - np.asarray(Image.fromarray(PHOTO).convert("CMYK"))
    return imagecodecs.jpeg8_encode(inks, level=95, colorspace="CMYK", outcolorspace=kind, subsampling="444")


def with_garbage(jpeg):
    """A JPEG with extra bytes in its header, which libjpeg skips with a warning."""
    return jpeg.replace(b"\xff\xdb", b"\1\2\xff\xdb", 1)


UPPER = (WIDE // 256).astype(np.uint8)
ALPHA = UPPER[..., 3]
RGBA = Image.fromarray(np.dstack([COLOUR, ALPHA]))
PALETTE = Image.fromarray(GREY // 16, "P")
PALETTE.putpalette(COLOUR.reshape(-1)[:48].tobytes())
OF_PALETTE = COLOUR.reshape(-1, 3)[:16][GREY // 16]
BLACK_IS_CLEAR = np.where((GREY // 16 == 0)[..., None], 255, OF_PALETTE)

# name: (file, pixels, tolerance)
READ = {
    "grey png": (saved(GREY, "PNG"), rgb(GREY), 0),
    "16-bit grey png": (saved(WIDE[..., 0], "PNG"), rgb(UPPER[..., 0]), 0),
    "16-bit grey png, a grey clear": (
        png(WIDE[..., 0], 0, 16, WIDE[0, 0, :1].astype(">u2").tobytes()),
        np.where((WIDE[..., :1] == WIDE[0, 0, 0]), 255, rgb(UPPER[..., 0])), 0,
    ),
    "16-bit rgb png": (png(WIDE[..., :3], 2, 16), UPPER[..., :3], 0),
    "16-bit rgb png, a colour clear": (
        png(WIDE[..., :3], 2, 16, WIDE[0, 0, :3].astype(">u2").tobytes()),
        np.where((WIDE[..., :3] == WIDE[0, 0, :3]).all(-1, keepdims=True), 255, UPPER[..., :3]), 0,
    ),
    "16-bit rgba png": (png(WIDE, 6, 16), over_white(UPPER[..., :3], ALPHA), 1),
    "16-bit la png": (png(WIDE[..., 2:], 4, 16), over_white(rgb(UPPER[..., 2]), ALPHA), 1),
    "1-bit png": (saved(Image.fromarray(GREY > 99), "PNG"), rgb(np.where(GREY > 99, 255, 0)), 0),
    "2-bit png": (png(GREY // 64, 0, 2), rgb(GREY // 64 * 85), 0),
    "4-bit png": (png(GREY // 16, 0, 4), rgb(GREY // 16 * 17), 0),
    "la png": (saved(np.dstack([GREY, ALPHA]), "PNG"), over_white(rgb(GREY), ALPHA), 1),
    "rgba png": (saved(RGBA, "PNG"), over_white(COLOUR, ALPHA), 1),
    "rgb png": (saved(COLOUR, "PNG"), COLOUR, 0),
    "rgb png, a colour clear": (
        png(COLOUR, 2, 8, COLOUR[0, 0].astype(">u2").tobytes()),
        np.where((COLOUR[0, 0] == COLOUR).all(-1, keepdims=True), 255, COLOUR), 0,
    ),
    "palette png": (saved(PALETTE, "PNG"), OF_PALETTE, 0),
    "palette png, an entry clear": (saved(PALETTE, "PNG", transparency=0), BLACK_IS_CLEAR, 0),
    "palette png, clear by bytes": (saved(PALETTE, "PNG", transparency=bytes([0] + [255] * 15)), BLACK_IS_CLEAR, 0),
    "rgb tiff": (saved(COLOUR, "TIFF"), COLOUR, 0),
    "lzw tiff": (saved(COLOUR, "TIFF", compression="tiff_lzw"), COLOUR, 0),
    "planar tiff": (tiff(COLOUR.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"), COLOUR, 0),
    "1-bit tiff": (saved(Image.fromarray(GREY > 99), "TIFF"), rgb(np.where(GREY > 99, 255, 0)), 0),
    "16-bit grey tiff": (tiff(WIDE[..., 0].copy()), rgb(UPPER[..., 0]), 0),
    "16-bit grey tiff, big-endian": (tiff(WIDE[..., 0].copy(), byteorder=">"), rgb(UPPER[..., 0]), 0),
    "16-bit grey tiff, white is zero": (
        tiff(WIDE[..., 0].copy(), photometric="miniswhite"), 255 - rgb(UPPER[..., 0].astype(int)), 0,
    ),
    "12-bit grey tiff": (tiff(WIDE[..., 0] // 16, bitspersample=12), rgb(UPPER[..., 0]), 0),
    "16-bit rgb tiff": (tiff(WIDE[..., :3].copy(), photometric="rgb"), UPPER[..., :3], 0),
    "16-bit rgb tiff, big-endian": (tiff(WIDE[..., :3].copy(), photometric="rgb", byteorder=">"), UPPER[..., :3], 0),
    "cmyk tiff": (saved(Image.fromarray(PHOTO).convert("CMYK"), "TIFF"), naive_cmyk(Image.fromarray(PHOTO)), 1),
    "lab tiff": (saved(Image.new("LAB", (WIDTH, HEIGHT), (255, 128, 128)), "TIFF"), np.full_like(COLOUR, 255), 1),
    "tiff of pages": (saved(COLOUR, "TIFF", save_all=True, append_images=[Image.fromarray(PHOTO)]), COLOUR, 0),
    "grey jpeg": (saved(PHOTO[..., 0], "JPEG", quality=95), rgb(PHOTO[..., 0]), 6),
    "jpeg": (saved(PHOTO, "JPEG", quality=95, subsampling=0), PHOTO, 12),
    "jpeg, colour halved": (saved(PHOTO, "JPEG", quality=95), PHOTO, 24),
    "progressive jpeg": (saved(PHOTO, "JPEG", quality=95, subsampling=0, progressive=True), PHOTO, 12),
    "rgb jpeg": (saved(PHOTO, "JPEG", quality=95, keep_rgb=True), PHOTO, 12),
    "jpeg with a profile": (saved(PHOTO, "JPEG", quality=95, subsampling=0, icc_profile=b"any"), PHOTO, 12),
    "jpeg, exif damaged": (saved(PHOTO, "JPEG", quality=95, subsampling=0, exif=b"Exif\0\0MM\0*\xff\xff"), PHOTO, 12),
    "jpeg, garbage behind": (saved(PHOTO, "JPEG", quality=95, subsampling=0) + b"garbage" * 100, PHOTO, 12),
    "jpeg, garbage within": (with_garbage(saved(PHOTO, "JPEG", quality=95, subsampling=0)), PHOTO, 12),
    "jpeg, filled up": (saved(PHOTO, "JPEG", quality=95, subsampling=0)[:-2] + bytes(9) + b"\xff\xd9", PHOTO, 12),
    "phone's jpegs": (saved(PHOTO, "MPO", quality=95, save_all=True, append_images=[Image.fromarray(GREY)]), PHOTO, 24),
    "cmyk jpeg": (cmyk("CMYK"), PHOTO, 16),
    "ycck jpeg": (cmyk("YCCK"), PHOTO, 16),
    "webp": (saved(COLOUR, "WEBP", lossless=True), COLOUR, 0),
    "transparent webp": (saved(RGBA, "WEBP", lossless=True, exact=True), over_white(COLOUR, ALPHA), 1),
    "moving webp": (saved(COLOUR, "WEBP", save_all=True, append_images=[RGBA], lossless=True), COLOUR, 0),
    "gif": (saved(PALETTE, "GIF"), OF_PALETTE, 0),
    "moving gif": (saved(PALETTE, "GIF", save_all=True, append_images=[Image.fromarray(COLOUR)]), OF_PALETTE, 0),
    "bmp": (saved(COLOUR, "BMP"), COLOUR, 0),
    "ppm": (saved(COLOUR, "PPM"), COLOUR, 0),
    "avif": (saved(PHOTO, "AVIF", quality=100, subsampling="4:4:4"), PHOTO, 6),
    "jpeg 2000": (saved(COLOUR, "JPEG2000"), COLOUR, 0),
    "16-bit jpeg 2000": (saved(WIDE[..., 0], "JPEG2000"), rgb(UPPER[..., 0]), 0),
}  # fmt: skip
KEPT = {"rgb png", "palette png"} | {name for name in READ if "jpeg" in name} - {
    "cmyk jpeg", "ycck jpeg", "jpeg 2000", "16-bit jpeg 2000",
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_training_decodes_the_imported_pixels_of_every_format(name):
    encoded, expected, tolerance = READ[name]
    picture = read_picture(encoded)
    assert picture.pixels.dtype == np.uint8
    assert np.abs(picture.pixels - np.asarray(expected, float)).max() <= tolerance
    kept = stored(encoded)
    assert (kept == encoded) == (name in KEPT)
    assert kept.startswith((JPEG, PNG))
    trained = np.zeros_like(picture.pixels)
    decode_into(kept, trained)
    np.testing.assert_array_equal(trained, picture.pixels)
    np.testing.assert_array_equal(decode(kept), picture.pixels)
    np.testing.assert_array_equal(decode(stored(encoded, 8)).shape, (8, 8, 3))


@pytest.mark.parametrize("name", READ)
def test_frames_and_pages_are_counted(name):
    assert (read_picture(READ[name][0]).frames > 1) == ("moving" in name or "pages" in name)


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (tiff(GREY.astype(np.float32)), "float.*mode F.*save it with 8 or 16 bits"),
        (tiff(GREY.astype(np.int32)), "32-bit.*mode I"),
        (tiff(GREY.astype(np.int16)), "signed.*mode I"),
        (tiff(GREY.astype(np.float64)), "TIFF of float64"),
        (tiff(np.zeros((9, 9, 5), np.uint8), photometric="minisblack", planarconfig="contig"), "TIFF of uint8"),
        (b"not a picture", "none of JPEG, PNG"),
        (b"", "none of JPEG, PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "none of JPEG, PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "none of JPEG, PNG"),
        (png(GREY, 0, size=(12_000, 12_000)), "144,000,000 px, more than the limit of 100,000,000 px"),
        (png(GREY, 0, size=(30_000, 30_000)), "more than the limit of 100,000,000 px"),
    ],
)  # fmt: skip
def test_unsupported_images_are_a_one_line_error(encoded, reason):
    with pytest.raises(ValueError, match=reason) as error:
        read_picture(encoded)
    assert "BytesIO" not in str(error.value)


WHOLE = {
    "jpeg": saved(COLOUR, "JPEG"),
    "progressive jpeg": saved(COLOUR, "JPEG", progressive=True),
    "jpeg, garbage within": with_garbage(saved(COLOUR, "JPEG")),
    "cmyk jpeg": saved(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"),
    "png": saved(COLOUR, "PNG"),
    "16-bit png": saved(WIDE[..., 0], "PNG"),
    "palette png": saved(Image.fromarray(COLOUR).quantize(256), "PNG"),
    "tiff": saved(COLOUR, "TIFF"),
    "lzw tiff": saved(COLOUR, "TIFF", compression="tiff_lzw"),
    "jpeg tiff": saved(COLOUR, "TIFF", compression="jpeg"),
    "webp": saved(COLOUR, "WEBP"),
    "lossless webp": saved(COLOUR, "WEBP", lossless=True),
    "bmp": saved(COLOUR, "BMP"),
    "gif": saved(COLOUR, "GIF"),
    "ppm": saved(COLOUR, "PPM"),
    "avif": saved(COLOUR, "AVIF"),
    "jpeg 2000": saved(COLOUR, "JPEG2000"),
}


@pytest.mark.parametrize("part", [0.1, 0.4, 0.9], ids=str)
@pytest.mark.parametrize("name", WHOLE)
def test_a_truncated_image_is_an_error(name, part):
    read_picture(WHOLE[name])
    with pytest.raises(ValueError, match=r"\w"):
        read_picture(WHOLE[name][: int(part * len(WHOLE[name]))])


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg", "png", "gif"])
def test_an_image_whose_second_half_is_zeros_is_an_error(name):
    half = len(WHOLE[name]) // 2
    with pytest.raises(ValueError, match=r"\w"):
        read_picture(WHOLE[name][:half] + bytes(len(WHOLE[name]) - half))


@pytest.mark.parametrize("marker", [b"\xff\xd0", b"\xff\xd9"], ids=["between intervals", "at the end"])
def test_a_jpeg_with_data_left_over_is_an_error(marker):
    encoded = saved(COLOUR, "JPEG", restart_marker_blocks=2)
    assert encoded.count(marker) > 0
    with pytest.raises(ValueError, match="extraneous bytes"):
        read_picture(encoded.replace(marker, bytes(range(1, 9)) + marker, 1))


def turned(number, upright):
    """Pixels as stored in a file with an orientation tag (EXIF 2.32, tag 274)."""
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),  # the file's first row is the right-hand side of the image
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[number]


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("PNG", {}),
        ("TIFF", {}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
    ],
)
def test_the_exif_orientation_is_applied(kind, options, number):
    exif = Image.Exif()
    exif[274] = number
    encoded = saved(np.ascontiguousarray(turned(number, PHOTO)), kind, exif=exif, **options)
    pixels = decode(stored(encoded))
    assert pixels.shape == PHOTO.shape
    assert np.abs(pixels.astype(int) - PHOTO).max() <= (12 if kind in ("JPEG", "AVIF") else 0)
    assert (stored(encoded) == encoded) == (number == 1 and kind in ("JPEG", "PNG"))


def test_a_photo_of_a_phone_is_rotated_to_be_upright():
    lying = np.zeros((64, 96, 3), np.uint8)
    lying[:, :48], lying[:, 48:] = (255, 0, 0), (0, 0, 255)
    exif = Image.Exif()
    exif[274] = 6
    pixels = decode(stored(saved(lying, "JPEG", exif=exif), 32)).astype(int)
    assert np.abs(pixels[4] - (255, 0, 0)).max() < 9
    assert np.abs(pixels[-4] - (0, 0, 255)).max() < 9


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc/self/statm")
def test_too_little_memory_is_not_reported_as_a_damaged_image():
    """Run in a process whose memory limit is below the size of an image of 25 million px."""
    program = (
        "import resource, sys, zlib\n"
        "from gensis.images.codec import decode\n"
        "from gensis.images.pictures import read_picture\n"
        "encoded = sys.stdin.buffer.read()\n"
        "held = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (held + 30_000_000,) * 2)\n"
        "for read in (decode, read_picture):\n"
        "    try:\n"
        "        read(encoded)\n"
        "    except MemoryError:\n"
        "        print('short')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        input=encode_png(np.zeros((5000, 5000, 3), np.uint8)),
        capture_output=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "workflow/scripts"), "OPENBLAS_NUM_THREADS": "1"},
    )
    assert result.stdout.split() == [b"short", b"short"], result.stderr
