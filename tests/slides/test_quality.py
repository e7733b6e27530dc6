import numpy as np
import pytest
from scipy import ndimage

from gensis.slides.bands import map_bands
from gensis.slides.ink import find_ink
from gensis.slides.quality import FRACTIONS, find_artifacts, focus

AREA_UM2 = 64.0  # thumbnails at 8 um/px
STROMA, GLASS, RED_CELLS = (205, 130, 175), (242, 242, 242), (190, 60, 70)


def textured(colour, shape, seed=0):
    noise = np.random.default_rng(seed).normal(0, 9, (*shape, 1))
    return np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)


def disc(shape, row, column, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


@pytest.fixture
def tissue_with_everything():
    """Stroma on glass with one artifact of each kind, and the mask of each."""
    image = np.full((120, 160, 3), GLASS, np.uint8)
    tissue = np.zeros((120, 160), bool)
    tissue[10:110, 10:150] = True
    image[tissue] = textured(STROMA, (100, 140)).reshape(-1, 3)
    where = {
        "pen_fraction": disc(tissue.shape, 30, 30, 9),
        "blood_fraction": disc(tissue.shape, 30, 80, 9),
        "fat_fraction": disc(tissue.shape, 80, 30, 6),
        "black_fraction": disc(tissue.shape, 80, 80, 9),
    }
    image[where["pen_fraction"]] = (40, 80, 170)
    image[where["blood_fraction"]] = textured(RED_CELLS, tissue.shape)[where["blood_fraction"]]
    image[where["fat_fraction"]] = GLASS
    image[where["black_fraction"]] = (30, 28, 32)
    return image, tissue, where | {"white_fraction": where["fat_fraction"] | ~tissue}


@pytest.mark.parametrize("name", FRACTIONS)
def test_each_map_finds_its_own_artifact_and_little_else(tissue_with_everything, name):
    image, tissue, where = tissue_with_everything
    maps = find_artifacts(image, tissue=tissue, pen=find_ink(image), pixel_area_um2=AREA_UM2)
    assert tuple(maps) == FRACTIONS
    expected = where[name]
    if name == "pen_fraction":  # black counts as ink as well, and ink has a margin
        expected = expected | where["black_fraction"]
        assert maps[name][expected].all()
        assert not maps[name][~ndimage.binary_dilation(expected, iterations=6)].any()
    else:
        assert maps[name][expected].mean() > 0.9
        assert maps[name][~expected].mean() < 0.01


def test_fat_has_an_adipocytes_size_and_shape_inside_tissue():
    image = textured(STROMA, (200, 200))
    tissue = np.ones((200, 200), bool)
    droplet = disc(tissue.shape, 40, 40, 6)  # 0.007 mm2
    lake = disc(tissue.shape, 120, 60, 20)  # 0.08 mm2
    cleft = np.zeros_like(tissue)
    cleft[20:23, 100:160] = True
    dot = disc(tissue.shape, 180, 180, 1) & disc(tissue.shape, 180, 181, 1)
    on_glass = disc(tissue.shape, 160, 150, 6)
    for hole in (droplet, lake, cleft, dot, on_glass):
        image[hole] = GLASS
    tissue[145:176, 135:166] = False
    fat = find_artifacts(image, tissue=tissue, pen=find_ink(image), pixel_area_um2=AREA_UM2)["fat_fraction"]
    np.testing.assert_array_equal(fat, droplet)


def test_red_ink_is_not_blood():
    image = np.full((60, 60, 3), GLASS, np.uint8)
    image[20:40, 20:40] = (200, 20, 25)
    maps = find_artifacts(image, tissue=np.zeros((60, 60), bool), pen=find_ink(image), pixel_area_um2=AREA_UM2)
    assert maps["pen_fraction"][20:40, 20:40].all()
    assert not maps["blood_fraction"].any()


def test_results_in_bands_equal_those_of_the_whole_image():
    image = np.random.default_rng(0).integers(0, 255, (700, 9), np.uint8)

    def blurred(rows):
        return (ndimage.gaussian_filter(rows.astype(np.float32), 1, radius=3),)

    np.testing.assert_array_equal(map_bands(blurred, image, 3)[0], blurred(image)[0])


@pytest.mark.parametrize(("mpp", "factor"), [(0.5, 2), (1.0, 1), (2.0, 1), (0.26, 4), (0.45, 2)])
def test_focus_is_the_variance_of_the_laplacian_at_focus_mpp(mpp, factor):
    tile = np.random.default_rng(0).integers(0, 256, (66, 66, 3), np.uint8)
    grey = tile[..., 1].astype(np.float64)
    side = 66 // factor
    grey = grey[: side * factor, : side * factor].reshape(side, factor, side, factor).mean((1, 3))
    laplacian = ndimage.laplace(grey)[1:-1, 1:-1]
    assert focus(tile, mpp=mpp, focus_mpp=1.0) == pytest.approx(laplacian.var(), rel=1e-4)


def test_focus_decreases_with_blur_and_is_zero_on_flat_tiles():
    tile = textured(STROMA, (64, 64))
    blurred = ndimage.gaussian_filter(tile, (1.5, 1.5, 0))
    assert focus(blurred, mpp=0.5, focus_mpp=1.0) < 0.2 * focus(tile, mpp=0.5, focus_mpp=1.0)
    assert focus(np.full((64, 64, 3), 200, np.uint8), mpp=0.5, focus_mpp=1.0) == 0
    assert np.isnan(focus(tile[:4, :4], mpp=0.5, focus_mpp=1.0))
