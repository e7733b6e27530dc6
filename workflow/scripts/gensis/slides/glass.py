"""The light that a slide was scanned in, as its bare glass shows it."""

import numpy as np
from PIL import Image

_EXAMINED_PX = 1 << 18  # about so many of a larger thumbnail
_LEAST_STEP = 2
_GLASS_DARKEST, _FLAT_STEP = 170, 6
_BIN_BITS, _PEAK_REACH = 2, 8
_LEAST_GLASS, _LEAST_OF_LARGEST = 0.01, 0.25
_LEAST_FLAT = 0.7  # of the pixels of that colour: 0.8 and more of glass, half of the palest tissue
# Of 255. A weaker tint is no more than what `gensis.slides.tissue` takes for noise, a stronger one is stain.
_TINTS = range(6, 65)
_STAIN_GREEN = 4
_BLACK_BRIGHTEST, _LIGHT_DARKEST = 60, 140
_LEAST_LIGHT = 0.01


def is_dark_field(image: np.ndarray, unread: np.ndarray) -> bool:
    """Whether a slide shines on black, as in fluorescence, where tissue cannot be told by the light that it absorbs.

    Black where nothing was scanned makes none: tissue in brightfield is never without light pixels.

    Args:
        image: uint8 (H, W, 3), RGB thumbnail.
        unread: bool (H, W), what of it is not known.
    """
    step = _step(image)
    some, unread = image[::step, ::step], unread[::step, ::step]
    brightest, darkest = some.max(2), some.min(2)
    known = ~unread & (darkest < 255)  # pure white may stand for what was not scanned
    black, light = known & (brightest <= _BLACK_BRIGHTEST), known & (darkest >= _LIGHT_DARKEST)
    return bool(black.sum() > known.sum() / 2 and light.sum() < _LEAST_LIGHT * known.sum())


def without_tint(image: np.ndarray, has_gaps: bool) -> np.ndarray:
    """White balance: make bare glass grey where it is tinted, as by a warm lamp or a bluish mounting medium.

    Glass is the brightest colour that much of the thumbnail has, flat wherever it occurs. If it is missing, or as good
    as grey, or lacks green as pale pink and purple stains do, the image stays as it is.

    Args:
        image: uint8 (H, W, 3), RGB thumbnail.
        has_gaps: whether pure white may stand for what was not scanned; else it is glass, and the brightest there is.

    Returns:
        uint8 (H, W, 3): the same, or a copy whose channels are stretched until glass is grey; none gets darker.
    """
    glass = _glass_colour(image, has_gaps)
    if glass is None or round(float(np.ptp(glass))) not in _TINTS or glass[1] < min(glass[0], glass[2]) - _STAIN_GREEN:
        return image
    stretched = np.minimum(np.arange(256) * (glass.max() / glass)[:, None], 255)
    return np.asarray(Image.fromarray(image).point(np.rint(stretched).astype(int).ravel().tolist()))


def _step(image: np.ndarray) -> int:
    """Of how many rows and columns one is looked at, or the mean."""
    return max(1, round((image.shape[0] * image.shape[1] / _EXAMINED_PX) ** 0.5))


def _glass_colour(image: np.ndarray, has_gaps: bool) -> np.ndarray | None:
    """Mean colour of the glass, float64 (3,); None where there is none."""
    step = max(_step(image), _LEAST_STEP)
    if min(image.shape[:2]) < 2 * step:
        return None
    means = np.asarray(Image.fromarray(image).reduce(step)).astype(np.int16)  # with less of the scanner's noise
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
    """The brightest of the commonest colours among int16 (N, 3): int64 (3,); None where none occurs `least` times."""
    side = 256 >> _BIN_BITS
    red, green, blue = colours.T.astype(np.int64) >> _BIN_BITS
    counts = np.bincount((red * side + green) * side + blue, minlength=side**3)
    peaks = np.flatnonzero(counts >= max(least, _LEAST_OF_LARGEST * counts.max(), 1))
    if not len(peaks):
        return None
    centres = np.stack(np.unravel_index(peaks, (side, side, side)), 1) * (1 << _BIN_BITS) + (1 << _BIN_BITS) // 2
    return centres[centres.sum(1).argmax()]
