"""The light that a slide was scanned in, as its bare glass shows it."""

import numpy as np

from gensis.slides.bands import bands

_BLACK_BRIGHTEST, _LIGHT_DARKEST = 60, 140
_LEAST_LIGHT = 0.01


def is_dark_field(image: np.ndarray, unread: np.ndarray) -> bool:
    """Whether a slide shines on black, as in fluorescence, where tissue cannot be told by the light that it absorbs.

    Black where nothing was scanned makes none: tissue in brightfield is never without light pixels.

    Args:
        image: uint8 (H, W, 3), RGB thumbnail.
        unread: bool (H, W), what of it is not known.
    """
    black = light = total = 0
    for rows in bands(len(image)):
        brightest, darkest = image[rows].max(2), image[rows].min(2)
        known = ~unread[rows] & (darkest < 255)  # pure white may stand for what was not scanned
        black += (known & (brightest <= _BLACK_BRIGHTEST)).sum()
        light += (known & (darkest >= _LIGHT_DARKEST)).sum()
        total += known.sum()
    return bool(black > total / 2 and light < _LEAST_LIGHT * total)
