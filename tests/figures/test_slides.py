"""Slides with their tiles drawn over."""

from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from tests.figures import tiny

from gensis.figures.run import Run
from gensis.figures.slides import FILL, LONGEST_SIDE_PX, MAX_DRAWN, OUTLINE, SlideView, draw_tiles, read_slide, slides


def over_white(colour: tuple[int, int, int, int]) -> np.ndarray:
    opacity = colour[3] / 255
    return np.array(colour[:3]) * opacity + 255 * (1 - opacity)


def test_tiles_are_drawn_where_their_coords_say(results: Path) -> None:
    drawn = np.asarray(draw_tiles(read_slide(results / "images/tissue/slide-a.h5"))).astype(float)
    px_per_level0 = LONGEST_SIDE_PX / tiny.SLIDE_SIDE_LEVEL0
    side_px = tiny.TILE_LEVEL0 * px_per_level0
    expected = np.broadcast_to([255.0, 255, 255], drawn.shape).copy()
    for x, y in tiny.COORDS_LEVEL0["slide-a"]:
        left, top = round(x * px_per_level0), round(y * px_per_level0)
        right, bottom = left + round(side_px), top + round(side_px)
        expected[top:bottom, left:right] = over_white(OUTLINE)
        expected[top + 1 : bottom - 1, left + 1 : right - 1] = over_white(FILL)
    np.testing.assert_allclose(drawn, expected, atol=2)


def test_tiles_smaller_than_a_pixel_still_tint_the_slide() -> None:
    view = SlideView(Image.new("RGB", (100, 50), "white"), 1000.0, np.array([[50_000, 25_000]]), tile_level0=100.0)
    drawn = np.asarray(draw_tiles(view)).astype(int)
    tinted = np.argwhere((drawn != 255).any(axis=2))
    assert tinted.tolist() == [[LONGEST_SIDE_PX // 4, LONGEST_SIDE_PX // 2]]


def test_slides_without_tiles_are_listed_with_their_reason(run: Run) -> None:
    html = slides(run, threads=1)
    assert "1 slide of tissue without tiles" in html
    assert "<td>no_tissue</td>" in html
    assert "slide-a</b><br>ok, 3 tiles" in html
    assert "slide-b</b><br>partial, 2 tiles" in html


def test_a_store_without_a_thumbnail_is_said(results: Path, run: Run) -> None:
    with h5py.File(results / "images/tissue/slide-a.h5", "r+") as file:
        del file["thumbnail"]
    html = slides(run, threads=1)
    assert "no thumbnail" in html
    assert html.count("<img") == 1


def test_many_slides_stay_within_five_megabytes(results: Path, run: Run) -> None:
    folder = results / "images/tissue"
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1500, 3), np.uint8)
    names = [f"slide-{number:02}" for number in range(30)]
    for name in names:
        tiny.write_slide(folder / f"{name}.h5", [(0, 0)], [tiny.flat((0, 0, 0))], Image.fromarray(noise))
    rows = [(name, "ok", 1, 0, "") for name in names]
    tiny.write_table(folder / "outcomes.tsv", ("unit", "outcome", "images", "failed", "reason"), rows)
    html = slides(run, threads=2)
    assert html.count("<img") == MAX_DRAWN
    assert "30 slides with tiles; 24 are drawn, 6 left out." in html
    assert len(html) < 5e6
