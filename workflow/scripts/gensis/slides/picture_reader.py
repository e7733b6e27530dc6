"""PNG and JPEG files as slides of one level."""

from pathlib import Path

import numpy as np
from PIL import Image

from gensis.slides.jpeg import decode_strictly
from gensis.slides.outcomes import BRIGHTFIELD_ONLY, Unusable
from gensis.slides.reader import Reader, SlideFile, Unsupported, cut, over_white
from gensis.slides.units import Downsample

_HEADS = (b"\x89PNG", b"\xff\xd8\xff")
_DEEP = ("I", "F")  # first letters of Pillow's modes of more than 8 bits; PNGs in colour are reduced to 8


class PictureReader(Reader):
    """A PNG or JPEG, decoded once and kept in memory. Its dpi are for printing, so they are not taken as resolution."""

    kind = "picture"

    def __init__(self, path: Path):
        """Decode the image.

        Raises:
            Unsupported: it is not an image, is damaged, or is too large for memory.
            Unusable: `unsupported`, if it has more than 8 bits per channel.
        """
        self.path = Path(path)
        try:
            self._pixels = _decode(self.path)
        except Unusable:
            raise
        except Exception as error:  # a damaged header may raise anything
            raise Unsupported(f"the image is damaged or not supported ({error})") from error
        self.properties = {}
        self.level_sizes = self.tile_sizes = (self._pixels.shape[1::-1],)
        self.downsamples = (Downsample(1.0),)

    @classmethod
    def recognises(cls, file: SlideFile) -> bool:
        """PNG and JPEG files that OpenSlide does not know: the main file of a MIRAX slide is a JPEG too."""
        return file.vendor is None and file.head.startswith(_HEADS)

    def region(self, level: int, *, x: int, y: int, width: int, height: int) -> np.ndarray:
        """See Reader."""
        return cut(self._pixels, x=x, y=y, width=width, height=height)

    def close(self) -> None:
        """Nothing is open."""


def _decode(path: Path) -> np.ndarray:
    with Image.open(path, formats=("PNG", "JPEG")) as image:  # refuses more than about 179 million px
        if image.format == "JPEG" and image.mode == "RGB":
            return decode_strictly(path.read_bytes())
        if image.mode.startswith(_DEEP):  # conversion would clip them
            reason = "it has 16 bits per channel, like images of fluorescence or scientific cameras"
            raise Unusable("unsupported", f"{reason}; {BRIGHTFIELD_ONLY}")
        transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
        return np.asarray(over_white(image.convert("RGBA")) if transparent else image.convert("RGB"))
