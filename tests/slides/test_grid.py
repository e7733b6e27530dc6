import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gensis.slides.grid import coverage, tile_origins

sides = st.integers(1, 3000)
downsamples = st.floats(1, 9) | st.sampled_from([1.0, 2.0, 4.0, 2.0005])


@st.composite
def grids(draw):
    width, height, downsample = draw(sides), draw(sides), draw(downsamples)
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    right, bottom = draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))
    level = (math.ceil(width / downsample), math.ceil(height / downsample))
    tile = draw(st.floats(1, 300)), draw(st.floats(1, 300))
    return (left, top, right, bottom), level, downsample, tile


@given(grids())
@example(((0, 0, 4, 4), (3, 3), 4 / 3, (1.0, 1.0)))  # the third tile's corner, 2.67, rounds to 3, and 3 + 1.33 > 4
def test_no_tile_leaves_the_bounds(grid):
    (left, top, right, bottom), level, downsample, (width, height) = grid
    x, y = tile_origins((left, top, right, bottom), level, downsample, width, height).T
    assert (x >= left).all()
    assert (y >= top).all()
    assert (x + width * downsample <= right + 1e-5).all()
    assert (y + height * downsample <= bottom + 1e-5).all()


@given(grids())
def test_tiles_begin_on_pixels_of_the_read_level_and_share_none(grid):
    bounds, level, downsample, (width, height) = grid
    origins = tile_origins(bounds, level, downsample, width, height)
    for axis, size in ((0, width), (1, height)):
        in_level = np.unique(origins[:, axis]) / downsample
        assert np.abs(in_level - np.rint(in_level)).max(initial=0) <= 0.5 / downsample + 1e-9
        assert (np.diff(np.rint(in_level)) >= math.ceil(size)).all()


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 64), st.sampled_from([1, 2, 4]))
def test_a_slide_of_whole_tiles_is_covered_row_by_row(columns, rows, tile, downsample):
    step = tile * downsample
    bounds = (0, 0, columns * step, rows * step)
    origins = tile_origins(bounds, (columns * tile, rows * tile), float(downsample), tile, tile)
    assert origins.tolist() == [[x * step, y * step] for y in range(rows) for x in range(columns)]
    assert origins.dtype == np.int64


def test_a_slide_smaller_than_a_tile_has_no_tiles():
    assert tile_origins((0, 0, 255, 300), (255, 300), 1.0, 256, 256).shape == (0, 2)


def test_the_grid_begins_at_the_scanned_area():
    assert tile_origins((100, 30, 400, 130), (500, 500), 1.0, 100, 100).tolist() == [[100, 30], [200, 30], [300, 30]]


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12))
def test_coverage_is_the_exact_area_fraction(seed, height, width):
    random = np.random.default_rng(seed)
    mask = random.random((height, width)) < 0.5
    # Edges on a lattice of a quarter of a pixel, so that counting small squares is exact.
    fine = np.kron(mask, np.ones((4, 4)))
    left, top = random.integers(0, 4 * width), random.integers(0, 4 * height)
    right, bottom = random.integers(left + 1, 4 * width + 1), random.integers(top + 1, 4 * height + 1)
    found = coverage(mask, np.array([left / 4]), np.array([top / 4]), (right - left) / 4, (bottom - top) / 4)
    assert found == pytest.approx([fine[top:bottom, left:right].mean()], abs=1e-9)


def test_coverage_outside_the_mask_is_zero():
    assert coverage(np.ones((4, 4), bool), np.array([2.0]), np.array([0.0]), 4.0, 4.0) == pytest.approx([0.5])
