import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from openslide import OpenSlide
from scipy import ndimage
from tests.drawing import drawn_slide

from gensis.settings.datasets import Tiling
from gensis.settings.sheet import read_sheet
from gensis.slides.drawing import draw_slide
from gensis.slides.layout import lay_out
from gensis.slides.opening import open_slide

ROOT = Path(__file__).parents[2]


def test_drawn_slides_are_determined_by_the_seed():
    first, again, other = (
        draw_slide("glandular", width_px=200, height_px=160, seed=seed, pen="green") for seed in (1, 1, 2)
    )
    assert first.shape == (160, 200, 3)
    assert first.dtype == np.uint8
    assert (first == again).all()
    assert (first != other).any()


def test_tissue_of_the_other_kind_covers_its_fraction_in_patches_and_leaves_the_outline():
    plain, mixed = (
        draw_slide("glandular", width_px=600, height_px=560, seed=1, other_fraction=fraction) for fraction in (0, 0.3)
    )
    lymphoid = draw_slide("lymphoid", width_px=600, height_px=560, seed=1)
    tissue, in_mixed = (ndimage.binary_fill_holes(slide.min(-1) < 225) for slide in (plain, mixed))
    assert (tissue != in_mixed).mean() < 0.04
    # Reference: lymphoid tissue has far more blue than red where it is averaged over nuclei and glands.
    blueness = [ndimage.gaussian_filter(s[..., 2] - s[..., 0].astype(float), 20) for s in (plain, lymphoid, mixed)]
    threshold = (np.median(blueness[0][tissue]) + np.median(blueness[1][tissue])) / 2
    shares = [(blue > threshold)[tissue].mean() for blue in blueness]
    assert shares[0] < 0.1
    assert shares[1] > 0.9
    assert 0.15 < shares[2] < 0.45


def test_openslide_reads_the_written_pyramid(tmp_path):
    slide = OpenSlide(drawn_slide(tmp_path / "slide.tiff", width_px=700, height_px=644))
    assert slide.level_dimensions == ((700, 644), (350, 322), (175, 161))
    assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5)
    drawn = draw_slide("lymphoid", width_px=700, height_px=644, seed=0).astype(float)
    for level, factor in ((0, 1), (1, 2), (2, 4)):
        expected = drawn.reshape(644, 700, 3)[: 644 // factor * factor, : 700 // factor * factor]
        expected = expected.reshape(644 // factor, factor, 700 // factor, factor, 3).mean((1, 3))
        stored = np.asarray(slide.read_region((0, 0), level, slide.level_dimensions[level]).convert("RGB"))
        assert np.abs(stored - expected).mean() < 8  # JPEG; a level shifted by one pixel differs by over 15


def test_the_demo_has_two_classes_two_slides_a_case_and_up_to_300_tiles(tmp_path):
    shutil.copy(ROOT / "resources" / "demo" / "slides.csv", tmp_path)
    script = ROOT / "workflow" / "scripts" / "draw_demo_slides.py"
    subprocess.run([sys.executable, script, "--folder", tmp_path], check=True)
    rows = read_sheet(tmp_path / "slides.csv", "slides", {})
    groups = {(row.label, row.group) for row in rows}
    assert (len(rows), len(groups), len({group for _, group in groups})) == (12, 6, 6)
    assert not any(row.split for row in rows)
    tiles = []
    for row in rows:
        assert Path(row.path).stat().st_size < 1 << 20
        with open_slide(Path(row.path)) as reader:
            tiles.append(
                len(lay_out(reader, Tiling(tile_px=64, mpp=1.0), unit=row.name, sheet_mpp=row.mpp, mask=None).kept)
            )
    assert min(tiles) >= 15
    assert 200 <= sum(tiles) <= 300
