"""Segmentation of the videos of DAVIS 2017 by propagating the masks of the first frame, with the protocol of DINO."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from gensis.errors import UserError
from gensis.evaluation.benchmark import BenchmarkData, Items, listed, open_image
from gensis.evaluation.masks import contour_accuracy, region_similarity
from gensis.evaluation.propagation import propagated
from gensis.progress import progress

_SHORTER_PX, _MULTIPLE_PX = 480, 64
_VOID = 255


def measure(data: BenchmarkData) -> Items:
    """J, F and their mean for each object: means over all frames but the first and the last.

    Expected are the values of masks that stay where they are in the first frame.
    """
    folder = Path(data.settings.path)
    videos = (folder / "ImageSets/2017/val.txt").read_text().split()
    names, groups, values = [], [], []
    for video in progress(videos, len(videos), "videos"):
        masks = [read_mask(path) for path in listed(folder / "Annotations/480p" / video, ".png")]
        frames = listed(folder / "JPEGImages/480p" / video, ".jpg")
        if len(frames) != len(masks) or len(frames) < 3:
            raise UserError(f"{folder}: {video} has {len(frames)} frames and {len(masks)} masks: download it again")
        found = list(segmented(frames, masks[0], data))
        for number in range(1, int(masks[0].max()) + 1):
            tested = [mask == number for mask in masks[1:-1]]
            unmoved = [masks[0] == number] * len(tested)
            values.append([*accuracies([each == number for each in found[:-1]], tested), *accuracies(unmoved, tested)])
            names.append(f"{video}_{number}")
            groups.append(video)
    region, contour, region_unmoved, contour_unmoved = np.array(values).T
    return Items(
        names=tuple(names),
        groups=tuple(groups),
        scores={"j_and_f": (region + contour) / 2, "j": region, "f": contour},
        expected={
            "j_and_f": (region_unmoved + contour_unmoved) / 2,
            "j": region_unmoved,
            "f": contour_unmoved,
        },
    )


def accuracies(found: list[np.ndarray], true: list[np.ndarray]) -> tuple[float, float]:
    """Mean J and mean F of the masks of an object, bool (H, W) each."""
    pairs = list(zip(found, true))
    return float(np.mean([region_similarity(*pair) for pair in pairs])), float(
        np.mean([contour_accuracy(*pair) for pair in pairs])
    )


def read_mask(path: Path) -> np.ndarray:
    """Numbers of the objects in an annotation, uint8 (H, W); 0 is background."""
    with Image.open(path) as image:
        mask = np.array(image)
    return np.where(mask == _VOID, 0, mask)


def segmented(frames: list[Path], first: np.ndarray, data: BenchmarkData) -> Iterator[np.ndarray]:
    """Numbers of the objects, uint8 (H, W), in each frame but the first."""
    sizes = {}

    def tokens() -> Iterator[torch.Tensor]:
        for path in frames:
            image = data.pixels(open_image(path))
            sizes[path] = resized_px(*image.shape[2:])
            yield data.encode(F.interpolate(image.float(), sizes[path], mode="bilinear").round())[1][0]

    height, width = first.shape
    stream = tokens()
    start = next(stream)
    small = Image.fromarray(first).resize((start.shape[1], start.shape[0]), Image.Resampling.NEAREST)
    shares = F.one_hot(torch.from_numpy(np.array(small)).long()).permute(2, 0, 1).float().to(data.device)
    for found, path in zip(propagated(start, shares, stream), frames[1:]):
        large = F.interpolate(found[None], sizes[path], mode="bilinear")[0]
        number = stretched(large).argmax(dim=0).byte().cpu().numpy()
        yield np.array(Image.fromarray(number).resize((width, height), Image.Resampling.NEAREST))


def resized_px(height: int, width: int) -> tuple[int, int]:
    """Height and width of a frame for the encoder: the shorter side is 480 px, the longer a multiple of 64 px."""
    longer = _SHORTER_PX * max(height, width) // min(height, width) // _MULTIPLE_PX * _MULTIPLE_PX
    return (longer, _SHORTER_PX) if height > width else (_SHORTER_PX, longer)


def stretched(shares: torch.Tensor) -> torch.Tensor:
    """Each map of (C, H, W) stretched to 0 to 1, unless it is 0 everywhere."""
    low, high = shares.amin(dim=(1, 2), keepdim=True), shares.amax(dim=(1, 2), keepdim=True)
    return torch.where(high > 0, (shares - low) / (high - low).clamp(min=torch.finfo(shares.dtype).tiny), shares)
