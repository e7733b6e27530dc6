"""Linear segmentation: a logistic regression of single patch tokens."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from gensis.errors import UserError
from gensis.evaluation.benchmark import BenchmarkData, Items, listed, open_image
from gensis.evaluation.linear import LinearProbe, fit_linear
from gensis.progress import progress
from gensis.slides.geojson import rasterise, read_annotations
from gensis.slides.mask import IGNORED_CLASSES

_VOID = 255
_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


def measure(data: BenchmarkData) -> Items:
    """Mean IoU and Dice of each test image, over the classes that it has or is given. Expected are those of an image
    that is wholly the most common class of train."""
    classes, features, labels, images = len(data.settings.classes), [], [], []
    for number, (_, tokens, mask) in enumerate(read(data, "train")):
        common = commonest(mask, tokens.shape[:2], classes).reshape(-1)
        known = common != _VOID
        features.append(tokens.flatten(0, 1).cpu().numpy()[known])
        labels.append(common[known])
        images.append(np.full(known.sum(), number))
    learnt = np.concatenate(labels)
    if len(np.unique(learnt)) < 2:
        raise UserError(f"{data.settings.path}: the train masks have a single class: check `classes` and the masks")
    tokens = np.concatenate(features)
    features.clear()  # they are as large as all tokens
    probe = fit_linear(tokens, learnt, np.concatenate(images), classes=classes, device=data.device)
    del tokens
    most = np.bincount(learnt).argmax()
    names, found = [], []
    for path, tokens, mask in read(data, "test"):
        constant = np.full_like(mask, most)
        found.append([*overlaps(segmented(tokens, mask.shape, probe), mask), *overlaps(constant, mask)])
        names.append(path.name)
    iou, dice, iou_constant, dice_constant = np.array(found).T
    return Items(
        names=tuple(names),
        groups=tuple(names),
        scores={"miou": iou, "dice": dice},
        expected={"miou": iou_constant, "dice": dice_constant},
    )


def read(data: BenchmarkData, split: str) -> Iterator[tuple[Path, torch.Tensor, np.ndarray]]:
    """Path, patch tokens (h, w, D) and mask uint8 (H, W) of each image of a split.

    Raises:
        UserError: there are no images, or a mask is missing, of another size, or has a value that is no class.
    """
    folder, size = Path(data.settings.path) / split, (data.settings.image_px,) * 2
    paths = [path for path in listed(folder / "images", "") if path.suffix.lower() in _SUFFIXES]
    if not paths:
        raise UserError(f"{folder}/images has no images ({', '.join(_SUFFIXES)}): correct the benchmark's path")
    for path in progress(paths, len(paths), f"{split} images"):
        image = open_image(path)
        mask = read_mask(folder / "masks", path.stem, image.size, data.settings.classes)
        _, (tokens,) = data.encode(data.pixels(image.resize(size, Image.Resampling.BICUBIC)))
        yield path, tokens, mask


def read_mask(folder: Path, name: str, size: tuple[int, int], classes: Sequence[str]) -> np.ndarray:
    """Numbers of classes of an image's `.png` or `.geojson`, uint8 (H, W).

    Args:
        folder: of the masks.
        name: of the image, without suffix.
        size: width and height of the image in px.
        classes: names of the classes.

    Raises:
        UserError: there is no mask, there are two, or it cannot be read or does not fit.
    """
    png, polygons = folder / f"{name}.png", folder / f"{name}.geojson"
    if png.exists() and polygons.exists():
        raise UserError(f"{png} and {polygons.name} are both masks of one image: remove one")
    return drawn_mask(polygons, size, classes) if polygons.exists() else png_mask(png, size, classes)


def png_mask(path: Path, size: tuple[int, int], classes: Sequence[str]) -> np.ndarray:
    """Mask whose values are numbers of classes: uint8 (H, W)."""
    try:
        with Image.open(path) as image:
            mask = np.array(image)
    except OSError as error:
        fix = "each image needs a mask, a PNG or GeoJSON of its name"
        raise UserError(f"{path} cannot be read ({error}): {fix}") from error
    if mask.dtype != np.uint8 or mask.shape != size[::-1]:
        raise UserError(
            f"{path} is no mask of its image: it must have 8 bits, one channel and {size[0]} x {size[1]} px"
        )
    if (wrong := mask[(mask >= len(classes)) & (mask != _VOID)]).size:
        raise UserError(f"{path} has the value {wrong[0]}, but `classes` names {len(classes)}: name all, in order")
    return mask


def drawn_mask(path: Path, size: tuple[int, int], classes: Sequence[str]) -> np.ndarray:
    """Mask of polygons in px of the image: uint8 (H, W). Of polygons that overlap, the last in the file is on top; what
    no polygon covers is the first class."""
    mask = np.zeros(size[::-1], np.uint8)
    for annotation in read_annotations(path):
        name = annotation.class_name
        is_ignored = name not in classes and name.lower() in IGNORED_CLASSES
        if not is_ignored and name not in classes:
            named = f"'{name}', which `classes` does not name" if name else "none"
            raise UserError(f"{path} has a polygon whose class is {named}: use {', '.join(classes)} or Ignore*")
        mask[rasterise([annotation], 1, mask.shape)] = _VOID if is_ignored else classes.index(name)
    return mask


def commonest(mask: np.ndarray, grid: tuple[int, int], classes: int) -> np.ndarray:
    """The most common class in each cell of a grid of (h, w) cells: uint8 (h, w); 255 where all is ignored."""
    shares = torch.stack([torch.from_numpy(mask == number) for number in range(classes)]).float()
    shares = F.adaptive_avg_pool2d(shares, tuple(grid))
    return np.where(shares.sum(dim=0) > 0, shares.argmax(dim=0), _VOID).astype(np.uint8)


def segmented(tokens: torch.Tensor, size: tuple[int, int], probe: LinearProbe) -> np.ndarray:
    """The most probable class of each pixel, int64 (H, W): probabilities of places are interpolated bilinearly."""
    shares = torch.from_numpy(probe.probabilities(tokens.flatten(0, 1).cpu().numpy()))
    shares = shares.reshape(*tokens.shape[:2], -1).permute(2, 0, 1)[None]
    return F.interpolate(shares, size, mode="bilinear").argmax(dim=1)[0].numpy()


def overlaps(found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Means of IoU and of Dice over the classes of two masks (H, W); NaN if all of ``true`` is ignored."""
    known = true != _VOID
    found, true = found[known], true[known]
    ious, dices = [], []
    for number in np.union1d(found, true):
        both, either = ((found == number) & (true == number)).sum(), ((found == number) | (true == number)).sum()
        ious.append(both / either)
        dices.append(2 * both / (both + either))
    return (float(np.mean(ious)), float(np.mean(dices))) if ious else (np.nan, np.nan)
