import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gensis.slides.grid import coverage, tile_origins

MODEST = settings(deadline=None, max_examples=100)


@st.composite
def grids(draw):
    """A slide, a level with sizes rounded as by scanners, the bounds of the scan, and a tile."""
    width, height = draw(st.integers(1, 3000)), draw(st.integers(1, 3000))
    factor = draw(st.floats(1, 9) | st.integers(1, 9))
    rounding = draw(st.sampled_from([math.floor, math.ceil, round]))
    level = max(1, rounding(width / factor)), max(1, rounding(height / factor))
    downsample = max(1.0, (width / level[0] + height / level[1]) / 2)  # OpenSlide's mean of both axes
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    right, bottom = draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))
    bounds = draw(st.sampled_from([(0, 0, width, height), (left, top, right, bottom)]))
    tile = draw(st.floats(1, 300) | st.integers(1, 300)), draw(st.floats(1, 300) | st.integers(1, 300))
    return bounds, (width, height), level, downsample, tile


def starts_px(grid):
    """Start of every column and of every row, in px of the level."""
    bounds, _, level, downsample, tile = grid
    origins = tile_origins(bounds, level, downsample=downsample, width=tile[0], height=tile[1])
    return [np.rint(np.unique(origins[:, axis]) / downsample).astype(int) for axis in (0, 1)]


@given(grids())
@MODEST
def test_all_tiles_are_inside_the_level_and_the_bounds(grid):
    bounds, size, level, downsample, tile = grid
    origins = tile_origins(bounds, level, downsample=downsample, width=tile[0], height=tile[1])
    for axis, starts in enumerate(starts_px(grid)):
        begin, end = bounds[axis], bounds[axis + 2]
        assert (starts >= 0).all()
        assert (starts + math.ceil(tile[axis]) <= level[axis]).all()
        assert (origins[:, axis] >= begin).all()
        if end < size[axis] - 2 * downsample * (1 + level[axis] / level[1 - axis]):
            assert (origins[:, axis] + tile[axis] * downsample <= end + 0.5 + 1e-4).all()


@given(grids())
@MODEST
def test_tiles_lie_one_stride_apart_and_share_no_pixel(grid):
    for starts, size in zip(starts_px(grid), grid[-1]):
        assert (np.diff(starts) == math.ceil(size)).all()


@given(grids())
@MODEST
def test_level_0_and_level_coordinates_are_inverse(grid):
    bounds, _, level, downsample, tile = grid
    origins = tile_origins(bounds, level, downsample=downsample, width=tile[0], height=tile[1])
    in_level = np.rint(origins / downsample)
    assert np.abs(origins / downsample - in_level).max(initial=0) < 0.5
    assert np.array_equal(np.rint(in_level * downsample), origins)


@given(grids())
@example(((0, 0, 8, 168), (8, 168), (4, 64), 2.3125, (1.0, 1.0)))
@MODEST
def test_no_tile_that_fits_is_lost(grid):
    bounds, size, level, downsample, tile = grid
    for axis, starts in enumerate(starts_px(grid)):
        stride = math.ceil(tile[axis])
        begin = math.ceil(bounds[axis] / downsample - 1e-6)
        end = level[axis] if bounds[axis + 2] == size[axis] else min(level[axis], bounds[axis + 2] // downsample)
        fits = max(0, int(end - begin) // stride)
        if all(len(each) for each in starts_px(grid)):
            assert len(starts) >= fits
            assert starts[0] == begin


def test_no_tile_is_lost_if_the_other_axis_is_odd():
    # 4096 px make four columns of 256 at a factor of 4; 4005 rows make 1001, and the mean factor is 4.0005.
    downsample = (4096 / 1024 + 4005 / 1001) / 2
    origins = tile_origins((0, 0, 4096, 4005), (1024, 1001), downsample=downsample, width=256, height=256)
    assert np.rint(np.unique(origins[:, 0]) / downsample).tolist() == [0, 256, 512, 768]
    assert np.rint(np.unique(origins[:, 1]) / downsample).tolist() == [0, 256, 512]


@pytest.mark.parametrize(
    ("downsample", "expected"),
    [
        (1.0, [0, 100, 200]),
        (2.0, [0, 200, 400]),
        (2.0005, [0, 200, 400]),
        (4.0027, [0, 400, 801]),
        (1.5, [0, 150, 300]),
    ],
)
def test_tiles_lie_at_rounded_multiples_of_the_downsample(downsample, expected):
    end = math.floor(300 * downsample)
    origins = tile_origins((0, 0, end, end), (300, 300), downsample=downsample, width=100, height=100)
    assert np.unique(origins[:, 0]).tolist() == expected
    assert np.unique(origins[:, 1]).tolist() == expected


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 64), st.sampled_from([1, 2, 4]))
def test_a_slide_of_whole_tiles_is_covered_row_by_row(columns, rows, tile, downsample):
    step = tile * downsample
    bounds = (0, 0, columns * step, rows * step)
    origins = tile_origins(bounds, (columns * tile, rows * tile), downsample=float(downsample), width=tile, height=tile)
    assert origins.tolist() == [[x * step, y * step] for y in range(rows) for x in range(columns)]
    assert origins.dtype == np.int64


def test_a_slide_smaller_than_a_tile_has_no_tiles():
    assert tile_origins((0, 0, 255, 300), (255, 300), downsample=1.0, width=256, height=256).shape == (0, 2)


def test_the_grid_begins_at_the_scanned_area():
    assert tile_origins((100, 30, 400, 130), (500, 500), downsample=1.0, width=100, height=100).tolist() == [
        [100, 30],
        [200, 30],
        [300, 30],
    ]


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12))
@MODEST
def test_coverage_is_the_exact_area_fraction(seed, height, width):
    random = np.random.default_rng(seed)
    mask = random.random((height, width)) < 0.5
    # Edges on a lattice of a quarter of a pixel, so that counting small squares is exact. Some lie outside.
    fine = np.pad(np.kron(mask, np.ones((4, 4))), 16)
    tile_width, tile_height = random.integers(1, 4 * width + 9), random.integers(1, 4 * height + 9)
    left = random.integers(0, fine.shape[1] - tile_width + 1, 20)
    top = random.integers(0, fine.shape[0] - tile_height + 1, 20)
    expected = [fine[y : y + tile_height, x : x + tile_width].mean() for x, y in zip(left, top)]
    found = coverage(mask, left=left / 4 - 4, top=top / 4 - 4, width=tile_width / 4, height=tile_height / 4)
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("filled", [False, True])
def test_coverage_is_between_0_and_1(filled):
    left = np.array([0.0, 1.7, 2.0, 3.9])
    found = coverage(np.full((4, 4), filled), left=left, top=np.zeros(4), width=2.0, height=2.0)
    assert found == pytest.approx([1, 1, 1, 0.05] if filled else np.zeros(4))
    assert found.max() <= 1
    assert found.shape == (4,)
