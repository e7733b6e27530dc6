"""Colour of the bare glass: white balance, and detection of fluorescence slides."""

import numpy as np
from PIL import Image

_EXAMINED_PX = 1 << 18  # larger thumbnails are subsampled to about this many pixels
_LEAST_STEP = 2
_GLASS_DARKEST, _FLAT_STEP = 170, 6
_BIN_BITS, _PEAK_REACH = 2, 8
_LEAST_GLASS, _LEAST_OF_LARGEST = 0.01, 0.25
_LEAST_FLAT = 0.7  # fraction of pixels of one colour that are flat: 0.8 and more on glass, half on the palest tissue
# Of 255. A weaker tint is below the noise limit of `gensis.slides.tissue`, a stronger one is stain.
_TINTS = range(6, 65)
_STAIN_GREEN = 4
_BLACK_BRIGHTEST, _LIGHT_DARKEST = 60, 140
_LEAST_LIGHT = 0.01


def is_dark_field(image: np.ndarray, unread: np.ndarray) -> bool:
    """Whether the background is black, as in fluorescence, so that tissue cannot be detected by absorption.

    Black areas that were not scanned do not count: brightfield tissue always has some light pixels.

    Args:
        image: uint8 (H, W, 3), RGB thumbnail.
        unread: bool (H, W), pixels that could not be read.
    """
    step = _step(image)
    some, unread = image[::step, ::step], unread[::step, ::step]
    brightest, darkest = some.max(2), some.min(2)
    known = ~unread & (darkest < 255)  # pure white may be an area that was not scanned
    black, light = known & (brightest <= _BLACK_BRIGHTEST), known & (darkest >= _LIGHT_DARKEST)
    return bool(black.sum() > known.sum() / 2 and light.sum() < _LEAST_LIGHT * known.sum())


def without_tint(image: np.ndarray, has_gaps: bool) -> np.ndarray:
    """White balance: make bare glass grey if it is tinted, for instance by a warm lamp or a bluish mounting medium.

    Glass is the brightest colour that is common in the thumbnail and flat wherever it occurs. The image is not changed
    if there is no glass, if glass is nearly grey, or if it lacks green as pale pink and purple stains do.

    Args:
        image: uint8 (H, W, 3), RGB thumbnail.
        has_gaps: whether pure white may be an area that was not scanned; otherwise it is glass.

    Returns:
        uint8 (H, W, 3): the same, or a copy whose channels are stretched until glass is grey; none gets darker.
    """
    glass = _glass_colour(image, has_gaps)
    if glass is None or round(float(np.ptp(glass))) not in _TINTS or glass[1] < min(glass[0], glass[2]) - _STAIN_GREEN:
        return image
    stretched = np.minimum(np.arange(256) * (glass.max() / glass)[:, None], 255)
    return np.asarray(Image.fromarray(image).point(np.rint(stretched).astype(int).ravel().tolist()))


def _step(image: np.ndarray) -> int:
    """Subsampling factor of rows and columns."""
    return max(1, round((image.shape[0] * image.shape[1] / _EXAMINED_PX) ** 0.5))


def _glass_colour(image: np.ndarray, has_gaps: bool) -> np.ndarray | None:
    """Mean colour of the glass, float64 (3,); None if there is no glass."""
    step = max(_step(image), _LEAST_STEP)
    if min(image.shape[:2]) < 2 * step:
        return None
    means = np.asarray(Image.fromarray(image).reduce(step)).astype(np.int16)  # averaging reduces the scanner's noise
    here, right, below = means[:-1, :-1], means[:-1, 1:], means[1:, :-1]
    darkest = here.min(2)
    bright = (darkest >= _GLASS_DARKEST) & (darkest < (255 if has_gaps else 256))
    flat = (np.abs(right - here).max(2) <= _FLAT_STEP) & (np.abs(below - here).max(2) <= _FLAT_STEP)
    colours = here[bright & flat]
    peak = _brightest_peak(colours, _LEAST_GLASS * darkest.size)
    if peak is None:
        return None
    near = np.abs(here - peak).max(2) <= _PEAK_REACH
    if flat[near].mean() < _LEAST_FLAT:
        return None
    return here[near & flat].mean(0)


def _brightest_peak(colours: np.ndarray, least: float) -> np.ndarray | None:
    """The brightest of the most frequent colours in int16 (N, 3): int64 (3,); None if none occurs `least` times."""
    side = 256 >> _BIN_BITS
    red, green, blue = colours.T.astype(np.int64) >> _BIN_BITS
    counts = np.bincount((red * side + green) * side + blue, minlength=side**3)
    peaks = np.flatnonzero(counts >= max(least, _LEAST_OF_LARGEST * counts.max(), 1))
    if not len(peaks):
        return None
    centres = np.stack(np.unravel_index(peaks, (side, side, side)), 1) * (1 << _BIN_BITS) + (1 << _BIN_BITS) // 2
    return centres[centres.sum(1).argmax()]
