"""tiatoolbox: its sliding window over its own tissue mask, JPEG by Pillow, all tiles of a slide in one file."""

from pathlib import Path

import cv2
import torch
from PIL import Image
from slides import JPEG_QUALITY, Slide, serve_tiling
from tiatoolbox.tools.patchextraction import SlidingWindowPatchExtractor
from tiatoolbox.wsicore.wsireader import OpenSlideWSIReader


def tile(slides: list[Slide], folder: Path) -> int:
    """Write the tiles that are at least half tissue, like those of this pipeline."""
    tiles = 0
    for number, slide in enumerate(slides):
        # Not WSIReader.open: it treats plain TIFF pyramids as pictures, reads them whole and finds no tissue.
        # The reader needs a magnification for its thumbnail: 20x is 0.5 um/px.
        reader = OpenSlideWSIReader(slide.path, mpp=(slide.mpp, slide.mpp), power=10 / slide.mpp)
        patches = SlidingWindowPatchExtractor(
            reader,
            patch_size=slide.tile_px,
            stride=slide.tile_px,
            resolution=slide.target_mpp,
            units="mpp",
            input_mask="otsu",
            min_mask_ratio=0.5,
            within_bound=True,
        )
        with open(folder / f"{number}.jpegs", "wb") as stream:
            for patch in patches:
                Image.fromarray(patch).save(stream, "JPEG", quality=JPEG_QUALITY)
                tiles += 1
    return tiles


torch.set_num_threads(1)
cv2.setNumThreads(1)

if __name__ == "__main__":
    serve_tiling(tile)
