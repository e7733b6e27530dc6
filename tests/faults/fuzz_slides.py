"""Tile files with damaged headers: each must get an outcome, whatever its bytes say.

`python tests/faults/fuzz_slides.py --seconds 600` runs for longer than the test does; `--seed` repeats one file.
"""

import argparse
import collections
import io
import json
import os
import random
import resource
import select
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "workflow" / "scripts")]

import tifffile  # noqa: E402
from PIL import Image  # noqa: E402

import tile_slide  # noqa: E402
from gensis.errors import UserError  # noqa: E402
from gensis.slides.drawing import draw_slide  # noqa: E402
from gensis.slides.outcomes import OUTCOMES  # noqa: E402

MEMORY_BYTES = 4 << 30
LONGEST_SECONDS = 20
_ABSURD = (0, 1, 2, 3, 255, 32767, 65535, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
_TAGS_THAT_MATTER = (
    "ImageWidth ImageLength BitsPerSample Compression PhotometricInterpretation SamplesPerPixel RowsPerStrip "
    "PlanarConfiguration TileWidth TileLength TileOffsets TileByteCounts StripOffsets StripByteCounts JPEGTables "
    "SubIFDs SampleFormat ExtraSamples Predictor YCbCrSubSampling XResolution YResolution ImageDescription NewSubfileType"
).split()
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
    """Write a small whole file of each kind that is read."""
    picture = draw_slide("lymphoid", 320, 256, 0)
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


def _write_pyramid(path: Path, picture, bigtiff: bool = False, description: str | None = None, **options) -> None:
    options = {"photometric": "rgb", "tile": (64, 64), "metadata": None, "description": description, **options}
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as tiff:
        tiff.write(picture, resolution=(20_000, 20_000), resolutionunit="CENTIMETER", **options)
        tiff.write(picture[::2, ::2], subfiletype=1, **options)


def damaged(path: Path, dice: random.Random) -> bytes:
    """A file's bytes with one to three damages, mostly where its header lies."""
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


Tags = list[tuple["tifffile.TiffTag", int]]


def _tags(path: Path) -> Tags:
    """All tags of a TIFF, those that matter more often, with the place of the next page's address."""
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = [page for series in tiff.series for level in series.levels for page in level.pages]
            found = [(tag, page.offset) for page in pages for tag in page.tags]
    except tifffile.TiffFileError:
        return []
    return found + 3 * [pair for pair in found if pair[0].name in _TAGS_THAT_MATTER]


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
    """Another size in the header of one JPEG, JPEG 2000 or WebP image, which makes decoders ask for memory."""
    for marker, skip, width in ((b"\xff\xc0", 5, ">H"), (b"\xff\x51", 6, ">I"), (b"\x9d\x01\x2a", 3, "<H")):
        places = [at for at in range(len(content)) if content.startswith(marker, at)]
        if places:
            values = [value for value in _ABSURD if value < 1 << 8 * struct.calcsize(width)]
            at = dice.choice(places) + skip
            for n in range(2):
                if dice.random() < 0.8:
                    _put(content, at + n * struct.calcsize(width), struct.pack(width, dice.choice(values)))


def _resize_png(content: bytearray, dice: random.Random, tags: Tags) -> None:
    """Another size, depth or kind in a PNG's header, whose check sum is right."""
    if dice.random() < 0.6:
        _put(content, 16 + 4 * dice.randrange(2), struct.pack(">I", dice.choice(_ABSURD)))
    else:
        _put(content, 24 + dice.randrange(5), bytes([dice.randrange(17)]))
    _put(content, 29, struct.pack(">I", zlib.crc32(content[12:29])))


def _number(tag: "tifffile.TiffTag", dice: random.Random, width: int) -> bytes:
    own = tag.value if isinstance(tag.value, int) else tag.count
    value = dice.choice((*_ABSURD, own + 1, own - 1, own * 2, own // 2, dice.getrandbits(32), 1 << 62))
    return (value % (1 << 8 * width)).to_bytes(width, tag.parent.byteorder == "<" and "little" or "big")


def _field_width(tag: "tifffile.TiffTag") -> int:
    return 8 if tag.parent.is_bigtiff else 4


def _absurd_value(content: bytearray, dice: random.Random, tags: Tags) -> None:
    tag, _ = dice.choice(tags)
    width = min(tifffile.TIFF.DATA_FORMATS.get(tag.dtype, "1B") in ("1H", "1h") and 2 or 4, tag.valuebytecount or 4)
    at = tag.valueoffset + dice.randrange(max(1, tag.valuebytecount // width)) * width
    _put(content, at, _number(tag, dice, width))


def _absurd_count(content: bytearray, dice: random.Random, tags: Tags) -> None:
    tag, _ = dice.choice(tags)
    _put(content, tag.offset + 4, _number(tag, dice, _field_width(tag)))


def _other_place(content: bytearray, dice: random.Random, tags: Tags) -> None:
    """The tag's value lies somewhere else, or is another number where it lies in the tag itself."""
    tag, _ = dice.choice(tags)
    width = _field_width(tag)
    place = dice.choice((0, 4, tag.offset, len(content) - 1, len(content), dice.randrange(len(content)), (1 << 32) - 1))
    _put(content, tag.offset + 4 + width, place.to_bytes(width, "little"))


def _other_type(content: bytearray, dice: random.Random, tags: Tags) -> None:
    _put(content, dice.choice(tags)[0].offset + 2, struct.pack("<H", dice.choice((0, 99, *range(1, 19)))))


def _other_tag(content: bytearray, dice: random.Random, tags: Tags) -> None:
    code = dice.choice((dice.choice(tags)[0].code, dice.randrange(65536), 330, 34665, 33550, 34118, 65420, 50839))
    _put(content, dice.choice(tags)[0].offset, struct.pack("<H", code))


def _flip_in_tag(content: bytearray, dice: random.Random, tags: Tags) -> None:
    tag, _ = dice.choice(tags)
    _put(content, tag.offset + dice.randrange(12), dice.randbytes(1))


def _flip_in_value(content: bytearray, dice: random.Random, tags: Tags) -> None:
    tag, _ = dice.choice(tags)
    for _ in range(dice.randint(1, 4)):
        _put(content, tag.valueoffset + dice.randrange(max(1, tag.valuebytecount)), dice.randbytes(1))


def _loop(content: bytearray, dice: random.Random, tags: Tags) -> None:
    """The next page is an earlier one, or lies anywhere."""
    tag, page = dice.choice(tags)
    width, last = _field_width(tag), max(other.offset for other, at in tags if at == page)
    target = dice.choice((page, min(at for _, at in tags), page + 2, dice.randrange(len(content))))
    _put(content, last + 4 + 2 * width, target.to_bytes(width, "little"))


def settings(dice: random.Random) -> dict:
    """Settings of a data set: mostly the reader that is chosen by itself."""
    reader = dice.choice(("auto", "auto", "auto", "tiff", "openslide", "picture"))
    tissue = {"method": dice.choice(("otsu", "none")), "mpp": dice.choice((2.0, 8.0)), "minimum_area_um2": 100}
    encoding = dice.choice(("jpeg", "png", "native"))
    return {"tile_px": 64, "mpp": 0.5, "reader": reader, "encoding": encoding, "tissue": tissue}


class Worker:
    """A process that tiles file after file, with bounded memory."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._start()

    def _start(self) -> None:
        self._errors = (self._folder / "stderr.txt").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--work", str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        assert self._process.stdout.readline() == b"ready\n", self.last_words()

    def tile(self, path: Path, config: dict) -> str:
        """The outcome, or a word that none is called, which says what happened instead."""
        self._process.stdin.write(json.dumps([str(path), config]).encode() + b"\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], LONGEST_SECONDS)[0]:
            self._process.kill()
            answer = f"HANG\n{self._restarted()}"
        else:
            line = self._process.stdout.readline()
            answer = json.loads(line) if line else f"CRASH {self._process.wait()}\n{self._restarted()}"
        return answer

    def _restarted(self) -> str:
        words = self.last_words()
        self.close()
        self._start()
        return words

    def last_words(self) -> str:
        """End of what the process wrote to stderr."""
        self._process.wait()
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-3000:]

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()


def work(folder: Path) -> None:
    """What a worker does: a line of JSON in, a line of JSON out."""
    import faulthandler

    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    faulthandler.dump_traceback_later
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print to stdout
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        path, config = json.loads(line)
        faulthandler.dump_traceback_later(LONGEST_SECONDS - 2)
        answer = outcome(folder, path, config)
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps(answer), file=answers, flush=True)


def outcome(folder: Path, path: str, config: dict) -> str:
    """Tile one file. Its outcome, `UserError`, or `ERROR` and a traceback."""
    store, result = folder / "unit.h5", folder / "unit.json"
    names = ["--config", json.dumps(config), "--slide", path, "--unit", "unit", "--threads", "2", "--mpp", "0.5"]
    arguments = tile_slide.argument_parser().parse_args([*names, "--store", str(store), "--outcome", str(result)])
    arguments.started = time.time()
    for old in (store, result):
        old.unlink(missing_ok=True)
    try:
        tile_slide.main(arguments)
    except UserError:
        return "UserError"
    except BaseException:
        return "ERROR\n" + traceback.format_exc()
    found = json.loads(result.read_text())["outcome"]
    if found not in OUTCOMES or not store.exists():
        return f"ERROR\noutcome {found}, store {store.exists()}"
    return found


def cases(sound: list[Path], first: int) -> Iterator[tuple[int, str, bytes, dict]]:
    """Damaged files without end: number, name, content, settings. A number always gives the same file."""
    number = first
    while True:
        dice = random.Random(number)
        path = dice.choice(sound)
        yield number, path.name, damaged(path, dice), settings(dice)
        number += 1


def fuzz(
    seconds: float, folder: Path, first: int = 0, count: int | None = None, say: Callable[[str], None] = print
) -> tuple[collections.Counter, list[str]]:
    """Tile damaged files for a while. How often each outcome came, and a report of each file that got none."""
    sound, kept = folder / "sound", folder / "found"
    sound.mkdir(), kept.mkdir(exist_ok=True)
    counts: collections.Counter = collections.Counter()
    failures: list[str] = []
    worker, end = Worker(folder), time.monotonic() + seconds
    for number, name, content, config in cases(sound_files(sound), first):
        if time.monotonic() > end or (count is not None and number >= first + count):
            break
        path = folder / f"slide{Path(name).suffix}"
        path.write_bytes(content)
        answer = worker.tile(path, config)
        counts[answer.split("\n")[0]] += 1
        if answer not in (*OUTCOMES, "UserError"):
            (kept / f"{number}-{name}").write_bytes(content)
            failures.append(f"file {number} ({name}) with {config}: {answer}")
            say(failures[-1])
    worker.close()
    return counts, failures


def main() -> None:
    """Fuzz from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="number of the first file")
    parser.add_argument("--count", type=int, help="number of files, if the time does not end first")
    parser.add_argument("--keep", type=Path, help="a new folder for files without an outcome")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        counts, failures = fuzz(arguments.seconds, folder, arguments.seed, arguments.count)
    print(f"{counts.total()} files: " + ", ".join(f"{number} {name}" for name, number in counts.most_common()))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
