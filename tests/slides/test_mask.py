import json

import numpy as np
import pytest
from PIL import Image

from gensis.errors import UserError
from gensis.slides.mask import read_mask

SIZE_LEVEL0, DOWNSAMPLE, SHAPE = (1600, 800), 16.0, (50, 100)


def box(class_name: str, left: float, top: float, right: float, bottom: float) -> dict:
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    properties = {"objectType": "annotation", "classification": {"name": class_name}}
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def test_a_users_mask_of_any_size_is_laid_over_the_slide(tmp_path):
    mask = np.zeros((10, 20), np.uint8)
    mask[:5, 10:] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    found = read_mask(tmp_path / "mask.png", SIZE_LEVEL0, DOWNSAMPLE, SHAPE)
    expected = np.zeros(SHAPE, bool)
    expected[:25, 50:] = True
    assert (found == expected).all()


@pytest.mark.parametrize("name", ["mask.geojson", "mask.JSON"])
def test_polygons_are_tissue_and_ignored_and_background_ones_are_cut_out_of_them(tmp_path, name):
    drawn = [box("Ignore*", 0, 0, 160, 160), box("Tumor", 0, 0, 800, 320), box("", 1440, 0, 1600, 800)]
    (tmp_path / name).write_text(json.dumps([*drawn, box("background", 1440, 640, 1600, 800)]))
    expected = np.zeros(SHAPE, bool)
    expected[:20, :50] = True
    expected[:10, :10] = False
    expected[:40, 90:] = True
    assert (read_mask(tmp_path / name, SIZE_LEVEL0, DOWNSAMPLE, SHAPE) == expected).all()


def test_masks_that_do_not_fit_are_the_users_mistake(tmp_path):
    Image.new("L", (10, 10)).save(tmp_path / "square.png")
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "text.geojson").write_text("no polygons")
    (tmp_path / "elsewhere.geojson").write_text(json.dumps(box("", 2000, 0, 3000, 800)))
    for name, words in [
        ("absent.png", "does not exist"),
        ("absent.geojson", "does not exist"),
        ("text.png", "not an image"),
        ("text.geojson", "not JSON"),
        ("square.png", "10 x 10 px"),
        ("elsewhere.geojson", "outside the slide of 1600 x 800 px"),
    ]:
        with pytest.raises(UserError, match=words) as error:
            read_mask(tmp_path / name, SIZE_LEVEL0, DOWNSAMPLE, SHAPE)
        assert "\n" not in str(error.value)
