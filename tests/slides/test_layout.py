import numpy as np
import pytest
from PIL import Image
from tests.drawing import drawn_slide, glass_slide

from gensis.settings.datasets import Tiling
from gensis.slides.layout import KEPT, LITTLE_TISSUE, NOT_CHOSEN, PEN, _judge, lay_out
from gensis.slides.opening import open_slide

SMALL = {"tile_px": 64, "mpp": 1.0, "tissue": {"mpp": 4.0, "minimum_area_um2": 2000}}


def laid_out(path, config=SMALL, unit="unit", mpp=None, mask=None):
    with open_slide(path) as reader:
        return lay_out(reader, Tiling.model_validate(config), unit=unit, sheet_mpp=mpp, mask=mask)


def test_every_tile_of_the_grid_has_a_status_that_its_scores_explain(tmp_path):
    layout = laid_out(drawn_slide(tmp_path / "slide.tiff", pen="blue"))
    assert layout.coords.tolist() == [[x, y] for y in range(0, 449 - 128, 128) for x in range(0, 512, 128)]
    tissue, pen = layout.fractions["tissue_fraction"], layout.fractions["pen_fraction"]
    assert (tissue[layout.status == KEPT] >= 0.5).all()
    assert (tissue[layout.status != KEPT] < 0.5).all()
    assert (pen[layout.status == PEN] > 0).all()
    assert {LITTLE_TISSUE, KEPT} <= set(layout.status.tolist())


def test_tiles_rejected_because_of_ink_have_the_status_pen():
    tissue = np.array([0.6, 0.3, 0.3, 0.0, 0.0])
    pen = np.array([0.3, 0.3, 0.1, 0.9, 0.0])
    status = _judge({"tissue_fraction": tissue, "pen_fraction": pen}, 0.5)
    assert status.tolist() == [KEPT, PEN, LITTLE_TISSUE, PEN, LITTLE_TISSUE]


def test_a_minimum_fraction_of_0_keeps_the_whole_grid(tmp_path):
    slide = glass_slide(tmp_path / "slide.tiff")
    config = SMALL | {"tissue": {"mpp": 4.0, "minimum_fraction": 0}}
    assert (laid_out(slide, config).status == KEPT).all()


def test_scores_are_exact_area_fractions(tmp_path):
    mask = np.zeros((448, 512), np.uint8)
    mask[100:300, 50:401] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    config = SMALL | {"mpp": 0.5, "tile_px": 100, "tissue": {"mpp": 0.5}}  # thumbnail at full resolution
    layout = laid_out(drawn_slide(tmp_path / "slide.tiff"), config, mask=tmp_path / "mask.png")
    for (x, y), fraction in zip(layout.coords, layout.fractions["tissue_fraction"]):
        assert fraction == pytest.approx((mask[y : y + 100, x : x + 100] > 0).mean(), abs=1e-6)


def test_selected_tiles_depend_on_the_slides_name_only(tmp_path):
    slide = drawn_slide(tmp_path / "slide.tiff", width_px=1024, height_px=1024)
    config = SMALL | {"tile_px": 32, "tiles_per_slide": 5}
    layouts = [laid_out(slide, config, unit) for unit in ("one", "one", "two")]
    assert [len(layout.kept) for layout in layouts] == [5, 5, 5]
    assert layouts[0].kept.tolist() == layouts[1].kept.tolist() != layouts[2].kept.tolist()
    everything = laid_out(slide, SMALL | {"tile_px": 32})
    assert (layouts[0].status == NOT_CHOSEN).sum() == len(everything.kept) - 5
    assert set(layouts[0].kept) <= set(everything.kept)
