import pytest

from gensis.slides.outcomes import Unusable
from gensis.slides.resolution import Resolution, plan_reading, slide_resolution

HALF = Resolution(0.5, 0.5, "openslide")


def tiff(unit, x, y=None):
    tags = {"tiff.ResolutionUnit": unit, "tiff.XResolution": str(x)}
    return tags | ({"tiff.YResolution": str(y)} if y else {})


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.26"}, (0.25, 0.26, "openslide")),
        ({"openslide.mpp-x": "0.25"}, (0.25, 0.25, "openslide")),
        ({"openslide.mpp-x": "unknown", **tiff("inch", 50_800)}, (0.5, 0.5, "tiff")),
        (tiff("centimeter", 20_000, 40_000), (0.5, 0.25, "tiff")),
    ],
)
def test_resolution_is_read_from_the_file(properties, expected):
    found = slide_resolution(properties)
    assert (found.mpp_x, found.mpp_y, found.source) == pytest.approx(expected)


def test_the_sheet_overrides_the_file():
    assert slide_resolution({"openslide.mpp-x": "30"}, 0.25) == Resolution(0.25, 0.25, "sheet")


@pytest.mark.parametrize("properties", [{}, tiff("none", 1), {"openslide.mpp-x": "nan"}, tiff("inch", 0)])
def test_missing_resolution_names_the_column_to_add(properties):
    with pytest.raises(Unusable, match="column mpp") as caught:
        slide_resolution(properties)
    assert caught.value.outcome == "missing_mpp"


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"openslide.mpp-x": "0.00499"}, "0.00499 .* openslide"),
        (tiff("inch", 72), "352.78 .* tiff"),
        ({"openslide.mpp-x": "0.5", "openslide.mpp-y": "21"}, "0.5 x 21"),
    ],
)
def test_impossible_resolution_says_what_was_read_and_where(properties, words):
    with pytest.raises(Unusable, match=words) as caught:
        slide_resolution(properties)
    assert caught.value.outcome == "wrong_mpp"


@pytest.mark.parametrize(
    ("target", "downsamples", "level", "width"),
    [
        (0.5, [1.0, 4.0], 0, 256),  # at the target: as it is
        (0.49, [1.0, 4.0], 0, 256),  # within tolerance, though slightly coarser: as it is
        (1.0, [1.0, 2.0005, 4.0], 1, 256),  # nearest level within tolerance
        (1.0, [1.0, 4.0], 0, 512),  # between levels: the finer one, resampled
        (3.0, [1.0, 2.0, 4.0], 2, 384),
    ],
)
def test_level_choice(target, downsamples, level, width):
    plan = plan_reading(HALF, downsamples, target, 0.05, 256)
    assert (plan.level, plan.downsample) == (level, downsamples[level])
    assert (plan.width, plan.height) == pytest.approx((width, width))


def test_a_resampled_tile_covers_exactly_the_target_area():
    plan = plan_reading(Resolution(0.2345, 0.25, "sheet"), [1.0, 3.9], 1.0, 0.02, 200)
    assert plan.size_level0 == pytest.approx((200 / 0.2345, 200 / 0.25))


def test_slides_are_never_upsampled_and_both_numbers_are_named():
    with pytest.raises(Unusable, match=r"0\.5 um/px .* 0\.25") as caught:
        plan_reading(HALF, [1.0, 2.0], 0.25, 0.05, 256)
    assert caught.value.outcome == "too_coarse"
