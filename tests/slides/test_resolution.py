import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gensis.slides.outcomes import Unusable
from gensis.slides.resolution import SOURCES, Resolution, plan_reading, slide_resolution

HALF = Resolution(0.5, 0.5, "openslide")
APERIO = "Aperio Image Library v11.2.1\r\n2220x2967 JPEG/RGB Q=30|AppMag = 20|MPP = 0.4990|Left = 25"


def tiff(unit, x=None, y=None):
    tags = {"tiff.ResolutionUnit": unit, "tiff.XResolution": x, "tiff.YResolution": y}
    return {name: str(value) for name, value in tags.items() if value is not None}


def ome(attributes, before="", prefix=""):
    colon = f"{prefix}:" if prefix else ""
    image = f"<{colon}Image><{colon}Pixels SizeX='9' {attributes}/></{colon}Image>"
    label = f"<{colon}Image><{colon}Pixels PhysicalSizeX='7' PhysicalSizeY='7'/></{colon}Image>"
    namespace = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    declared = f"xmlns:{prefix}" if prefix else "xmlns"
    head = f'<?xml version="1.0" encoding="UTF-8"?>{before}<!-- edit with care -->'
    return {"tiff.ImageDescription": f'{head}<{colon}OME {declared}="{namespace}">{image}{label}</{colon}OME>'}


def both(x, y):
    return f'PhysicalSizeX="{x}" PhysicalSizeY="{y}"'


def units(unit):
    return f'PhysicalSizeXUnit="{unit}" PhysicalSizeYUnit="{unit}"'


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.26"}, (0.25, 0.26, "openslide")),
        ({"openslide.mpp-x": "0.25"}, (0.25, 0.25, "openslide")),
        ({"openslide.mpp-y": "0.25"}, (0.25, 0.25, "openslide")),
        ({"openslide.mpp-x": "0,2528"}, (0.2528, 0.2528, "openslide")),
        ({"openslide.mpp-x": "unknown", **tiff("inch", 50_800)}, (0.5, 0.5, "tiff")),
        (tiff("centimeter", 20_000, 40_000), (0.5, 0.25, "tiff")),
        (tiff("centimeter", None, 40_000), (0.25, 0.25, "tiff")),
        ({"tiff.ImageDescription": APERIO}, (0.499, 0.499, "comment")),
        ({"openslide.comment": APERIO}, (0.499, 0.499, "comment")),
        ({"aperio.MPP": "0.2528"}, (0.2528, 0.2528, "comment")),
        ({"ventana.ScanRes": "0.2325"}, (0.2325, 0.2325, "comment")),
        ({"tiff.ImageDescription": '<iScan Magnification="40" ScanRes="0.2325"/>'}, (0.2325, 0.2325, "comment")),
        ({"tiff.ImageDescription": "ImageJ=1.54f\nunit=micron\n", **tiff("none", 4, 2)}, (0.25, 0.5, "comment")),
        ({"tiff.ImageDescription": "ImageJ=1.54f\nunit=\\u00B5m\n", **tiff("none", 4)}, (0.25, 0.25, "comment")),
    ],
)
def test_resolution_is_read_from_the_file(properties, expected):
    found = slide_resolution(properties)
    assert (found.mpp_x, found.mpp_y, found.source) == pytest.approx(expected)
    assert found.source in SOURCES


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (both(0.25, 0.26), (0.25, 0.26)),
        ('PhysicalSizeX="0.25"', (0.25, 0.25)),
        ('PhysicalSizeY="0.25"', (0.25, 0.25)),
        (f"{both(250, 260)} {units('nm')}", (0.25, 0.26)),
        (f"{both(0.00025, 0.00026)} {units('mm')}", (0.25, 0.26)),
        (f"{both(0.000025, 0.000026)} {units('cm')}", (0.25, 0.26)),
        (f"{both(0.25, 0.26)} {units(chr(0xB5) + 'm')}", (0.25, 0.26)),
        (f"{both(0.25, 0.26)} {units(chr(0x3BC) + 'm')}", (0.25, 0.26)),
        (f'{both(250, 0.26)} PhysicalSizeXUnit="nm"', (0.25, 0.26)),
    ],
)
@pytest.mark.parametrize("prefix", ["", "ome"])
def test_ome_xml_may_state_resolution_in_any_unit_of_length(attributes, expected, prefix):
    found = slide_resolution(ome(attributes, prefix=prefix))
    assert (found.mpp_x, found.mpp_y, found.source) == pytest.approx((*expected, "ome-xml"))


@pytest.mark.parametrize(
    "properties",
    [
        ome(""),  # the second image's is a label's
        ome(both("nan", 0)),
        ome(f"{both(1, 1)} {units('pixel')}"),
        {"tiff.ImageDescription": ome(both(0.25, 0.25))["tiff.ImageDescription"][:-3]},
        ome(both("&a;", "&a;"), before="<!DOCTYPE OME [<!ENTITY a '0.25'>]>"),
    ],
)
def test_without_a_length_in_ome_xml_the_tiff_tags_are_used(properties):
    assert slide_resolution(properties | tiff("inch", 50_800)).source == "tiff"


def test_the_most_specific_source_wins():
    ascending = [
        ("tiff", tiff("centimeter", 100_000)),
        ("comment", {"openslide.comment": "MPP = 0.2"}),
        ("openslide", {"openslide.mpp-x": "0.3"}),
        ("ome-xml", ome(both(0.4, 0.4))),
    ]
    properties = {}
    for source, more in ascending:
        properties |= more
        assert slide_resolution(properties).source == source
    assert slide_resolution(properties, 0.5) == Resolution(0.5, 0.5, "sheet")


def test_the_mpp_of_a_generic_tiff_comes_from_its_tags():
    generic = {"openslide.vendor": "generic-tiff", "openslide.mpp-x": "352.8"} | tiff("inch", 72)
    assert slide_resolution(generic | {"openslide.comment": APERIO}).source == "comment"
    with pytest.raises(Unusable, match="TIFF resolution tags"):
        slide_resolution(generic)


def test_the_sheet_overrides_the_file():
    assert slide_resolution({"openslide.mpp-x": "30"}, 0.25) == Resolution(0.25, 0.25, "sheet")


@pytest.mark.parametrize(
    "properties",
    [
        {},
        tiff("none", 1),
        {"openslide.mpp-x": "nan"},
        tiff("inch", 0),
        {"openslide.comment": "tMPP = 0.5"},
        {"openslide.comment": "MPP = none"},
        {"tiff.ImageDescription": "ImageJ=1.54f\nunit=pixel\n", **tiff("none", 1)},
    ],
)
def test_missing_resolution_names_the_column_to_fill(properties):
    with pytest.raises(Unusable, match="column mpp") as caught:
        slide_resolution(properties)
    assert caught.value.outcome == "missing_mpp"


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"openslide.mpp-x": "0.00499"}, "0.00499 .* OpenSlide"),
        (tiff("inch", 72), "352.78 .* TIFF"),
        ({"openslide.mpp-x": "0.5", "openslide.mpp-y": "21"}, "0.5 x 21"),
        (ome(both(250, 250)) | tiff("inch", 50_800), "250 x 250 .* OME-XML"),
        ({"openslide.comment": "MPP = 25", **tiff("inch", 50_800)}, "25 x 25 .* description"),
    ],
)
def test_the_error_for_implausible_resolution_has_source_and_remedy(properties, words):
    with pytest.raises(Unusable, match=f"{words}.*column mpp") as caught:
        slide_resolution(properties)
    assert caught.value.outcome == "wrong_mpp"


def test_an_implausible_resolution_in_the_sheet_is_refused():
    with pytest.raises(Unusable, match=r"50 x 50 um/px .*sheet"):
        slide_resolution({"openslide.mpp-x": "0.25"}, 50)


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
    plan = plan_reading(HALF, downsamples, target_mpp=target, tolerance=0.05, tile_px=256)
    assert (plan.level, plan.downsample) == (level, downsamples[level])
    assert (plan.width, plan.height) == pytest.approx((width, width))


def test_a_resampled_tile_covers_exactly_the_target_area():
    plan = plan_reading(Resolution(0.2345, 0.25, "sheet"), [1.0, 3.9], target_mpp=1.0, tolerance=0.02, tile_px=200)
    assert plan.size_level0 == pytest.approx((200 / 0.2345, 200 / 0.25))


def test_upsampling_is_an_error_that_states_both_resolutions():
    with pytest.raises(Unusable, match=r"0\.5 um/px, .* 0\.25") as caught:
        plan_reading(HALF, [1.0, 2.0], target_mpp=0.25, tolerance=0.05, tile_px=256)
    assert caught.value.outcome == "too_coarse"


@pytest.mark.parametrize(
    ("mpp", "target", "level", "width"),
    [
        (0.2528, 0.25, 0, 256),
        (0.2528, 0.5, 0, 256 * 0.5 / 0.2528),  # levels at 0.2528 and 1.0113 um/px
        (0.2528, 1.0, 1, 256),
        (0.2325, 0.25, 0, 256 * 0.25 / 0.2325),
    ],
)
def test_resolutions_that_are_not_round_numbers(mpp, target, level, width):
    plan = plan_reading(
        Resolution(mpp, mpp, "openslide"), [1.0, 4.0003, 16.002], target_mpp=target, tolerance=0.05, tile_px=256
    )
    assert plan.level == level
    assert (plan.width, plan.height) == pytest.approx((width, width))


@pytest.mark.parametrize(
    ("mpp_x", "mpp_y", "size"),
    [
        (0.49, 0.51, (256, 256)),  # both within tolerance
        (0.5, 0.4, (256, 320)),  # one is not: each is resampled by its own factor
    ],
)
def test_both_axes_must_be_within_the_tolerance(mpp_x, mpp_y, size):
    plan = plan_reading(Resolution(mpp_x, mpp_y, "openslide"), [1.0, 4.0], target_mpp=0.5, tolerance=0.05, tile_px=256)
    assert (plan.width, plan.height) == pytest.approx(size)


def test_without_resampling_a_level_is_read_as_it_is_or_the_levels_are_named():
    never = {"tolerance": 0.05, "tile_px": 256, "resample": False}
    assert plan_reading(HALF, [1.0, 2.0], target_mpp=1.03, **never).width == 256
    with pytest.raises(Unusable, match=r"levels have 0\.5, 1 um/px, .* within 5% of .* 0\.75: set") as caught:
        plan_reading(HALF, [1.0, 2.0], target_mpp=0.75, **never)
    assert caught.value.outcome == "no_level"
    with pytest.raises(Unusable) as caught:
        plan_reading(HALF, [1.0, 2.0], target_mpp=0.25, **never)
    assert caught.value.outcome == "too_coarse"


def test_one_axis_that_is_too_coarse_is_an_error():
    with pytest.raises(Unusable, match=r"0\.6 um/px"):
        plan_reading(Resolution(0.5, 0.6, "openslide"), [1.0, 2.0], target_mpp=0.5, tolerance=0.05, tile_px=256)


@given(
    st.floats(0.1, 2),
    st.floats(0.9, 1.1),
    st.lists(st.floats(1, 4.1), max_size=4),
    st.floats(0.1, 8),
    st.sampled_from([0, 0.02, 0.1]),
)
@settings(deadline=None, max_examples=200)
def test_the_plan_is_the_coarsest_level_that_needs_no_upsampling(mpp, aspect, factors, target, tolerance):
    downsamples = [1.0]
    for factor in factors:
        downsamples.append(downsamples[-1] * factor)
    ratios = [(mpp * downsample / target, mpp * aspect * downsample / target) for downsample in downsamples]
    near = [level for level, pair in enumerate(ratios) if all(abs(ratio - 1) <= tolerance for ratio in pair)]
    finer = [level for level, pair in enumerate(ratios) if max(pair) <= 1]
    try:
        plan = plan_reading(
            Resolution(mpp, mpp * aspect, "sheet"), downsamples, target_mpp=target, tolerance=tolerance, tile_px=100
        )
    except Unusable:
        assert not near
        assert not finer
        return
    if near:
        assert plan.level in near
        assert (plan.width, plan.height) == (100, 100)
    elif (plan.width, plan.height) != (100, 100):  # else within rounding of the tolerance
        assert plan.level == finer[-1]
        assert min(plan.width, plan.height) >= 100 - 1e-6
        exact = [100 * target / value for value in (mpp, mpp * aspect)]
        assert all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(plan.size_level0, exact))
