"""Overlays of tiles and tissue on a slide."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.figures import tiny

from gensis.errors import UserError
from gensis.figures.slide_overlay import MAX_ENLARGEMENT, TISSUE_LINE, draw_overlay, draw_tiles
from gensis.figures.slide_view import Grid, SlideView, read_slide
from gensis.figures.tile_status import NAMES, TILE_STATUSES
from gensis.settings.datasets import Quality

BOX = (512, 512)
PX_PER_LEVEL0 = BOX[0] / tiny.SLIDE_SIDE_LEVEL0
STATUS_OF = {(0, 0): "kept", (512, 0): "low_quality", (1024, 0): "pen", (2048, 1024): "little_tissue"}


@pytest.fixture
def view(tmp_path: Path) -> SlideView:
    """A white slide with four tiles of different status."""
    rejected = {corner: status for corner, status in STATUS_OF.items() if status in tiny.REASONS}
    tiles = [tiny.flat((0, 0, 0))] * 2
    tiny.write_slide(tmp_path / "slide.h5", [(0, 0), (512, 0)], tiles, rejected=rejected, focus=[9.0, 1.0])
    return read_slide(tmp_path / "slide.h5", Quality(minimum={"focus": 2}))


def over_white(name: str, opacity: float) -> np.ndarray:
    return np.array(TILE_STATUSES[name].colour) * opacity + 255 * (1 - opacity)


def test_each_tile_has_its_status(view: SlideView) -> None:
    found = {
        tuple(corner): NAMES[status] for corner, status in zip(view.grid.coords_level0.tolist(), view.grid.statuses)
    }
    assert found == STATUS_OF
    assert view.grid.counts == dict.fromkeys(STATUS_OF.values(), 1)


def test_tiles_are_drawn_at_their_coords_in_the_colour_of_their_status(view: SlideView) -> None:
    drawn = np.asarray(draw_overlay(view, BOX)).astype(float)
    expected = np.full(drawn.shape, 255.0)
    side = round(tiny.TILE_LEVEL0 * PX_PER_LEVEL0)
    for (x, y), name in STATUS_OF.items():
        left, top = round(x * PX_PER_LEVEL0), round(y * PX_PER_LEVEL0)
        expected[top : top + side, left : left + side] = over_white(name, TILE_STATUSES[name].line)
        expected[top + 2 : top + side - 2, left + 2 : left + side - 2] = over_white(name, TILE_STATUSES[name].fill)
    np.testing.assert_allclose(drawn, expected, atol=2)


def test_tissue_outline_lies_within_the_tissue(view: SlideView) -> None:
    mask = np.zeros((128, 128), np.uint8)
    mask[32:64, 32:96] = 255
    empty = dataclasses.replace(view.grid, coords_level0=np.zeros((0, 2), np.int64), statuses=np.zeros(0, np.uint8))
    drawn = draw_overlay(dataclasses.replace(view, grid=empty, tissue=Image.fromarray(mask)), BOX)
    line = (np.asarray(drawn) == TISSUE_LINE).all(axis=2)
    expected = np.zeros((512, 512), bool)
    expected[128:256, 128:384] = True
    expected[129:255, 129:383] = False
    np.testing.assert_array_equal(line, expected)


def test_adjacent_tiles_share_no_px_and_leave_no_gap() -> None:
    side = 100.7
    corners = np.stack(np.meshgrid(np.arange(30), np.arange(20)), -1).reshape(-1, 2) * side
    owner = np.zeros((200, 300), int)
    for corner in corners:
        grid = Grid(corner[None], np.zeros(1, np.uint8), side, side)
        owner += draw_tiles(grid, 0.07, owner.shape, 0) != 255
    covered = owner[: round(20 * side * 0.07), : round(30 * side * 0.07)]
    assert (covered == 1).all()
    assert owner.sum() == covered.sum()


def test_tiles_smaller_than_a_px_are_drawn_with_kept_ones_on_top() -> None:
    statuses = np.array([NAMES.index("kept"), NAMES.index("little_tissue"), NAMES.index("pen")], np.uint8)
    corners = np.array([[5000, 2000], [5010, 2010], [99_990, 49_990]])
    cells = draw_tiles(Grid(corners, statuses, 10.0, 10.0), 0.001, (50, 100), 0)
    drawn = {tuple(place): NAMES[cells[tuple(place)] // 2] for place in np.argwhere(cells != 255)}
    assert drawn == {(2, 5): "kept", (49, 99): "pen"}


def test_a_tiny_thumbnail_is_not_enlarged_without_limit(view: SlideView) -> None:
    small = dataclasses.replace(view, thumbnail=Image.new("RGB", (10, 5)), tissue=None)
    assert draw_overlay(small, (1600, 1600)).size == (10 * MAX_ENLARGEMENT, 5 * MAX_ENLARGEMENT)


def test_a_slide_fits_the_box_whatever_its_shape(view: SlideView) -> None:
    tall = dataclasses.replace(view, thumbnail=Image.new("RGB", (50, 400)), tissue=None)
    assert draw_overlay(tall, (320, 240)).size == (30, 240)


def test_store_without_the_score_of_a_threshold_is_rejected(tmp_path: Path) -> None:
    tiny.write_slide(tmp_path / "slide.h5", [(0, 0)], [tiny.flat((0, 0, 0))])
    with pytest.raises(UserError, match="lacks the score pen_fraction"):
        read_slide(tmp_path / "slide.h5", Quality(maximum={"pen_fraction": 0.1}))


def test_colours_are_distinct_with_red_green_blindness() -> None:
    """The two most similar statuses stay well apart for a dichromat (Viénot, Brettel and Mollon 1999)."""
    to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    deuteranopia = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])
    linear = (np.array([status.colour for status in TILE_STATUSES.values()]) / 255) ** 2.2
    seen = np.linalg.inv(to_lms) @ deuteranopia @ to_lms @ linear.T
    seen = np.clip(seen, 0, 1) ** (1 / 2.2)
    apart = np.linalg.norm(seen[:, :, None] - seen[:, None], axis=0) + np.eye(len(TILE_STATUSES)) * 9
    assert apart.min() > 0.15
