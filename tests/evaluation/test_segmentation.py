"""Linear segmentation on patch tokens."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import f1_score, jaccard_score

from gensis.errors import UserError
from gensis.evaluation.benchmark import BenchmarkData, Items
from gensis.evaluation.tasks.segmentation import commonest, measure, overlaps, read_mask
from gensis.settings.benchmarks import Segmentation

COLOURS = np.array([[230, 200, 220], [120, 40, 140], [40, 90, 200]], np.uint8)


def draw(folder: Path, split: str, number: int, void: bool = False) -> None:
    """An image of three coloured classes in cells of 8 px, and its mask."""
    generator = np.random.default_rng([number, split == "test"])
    mask = np.kron(generator.integers(0, 3, (4, 6)), np.ones((8, 8))).astype(np.uint8)
    pixels = COLOURS[mask].astype(float) + generator.normal(0, 8, (*mask.shape, 3))
    if void:
        mask[:, :8] = 255
    for part, array in (("images", pixels.clip(0, 255).astype(np.uint8)), ("masks", mask)):
        (folder / split / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(folder / split / part / f"{number}.png")


def tokens(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean colours in places of 4 px."""
    places = torch.nn.functional.avg_pool2d(images.float(), 4).permute(0, 2, 3, 1)
    return places.mean(dim=(1, 2)), places


def blind(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    places = torch.zeros_like(tokens(images)[1])
    return places.mean(dim=(1, 2)), places


def measured(folder: Path, encode=tokens) -> Items:
    settings = Segmentation(task="segmentation", path=str(folder), classes=("a", "b", "c"), image_px=96)
    return measure(BenchmarkData(settings=settings, encode=encode, device=torch.device("cpu")))


def test_classes_that_differ_in_colour_are_found_and_a_blind_encoder_gives_the_commonest_class(tmp_path):
    for number in range(6):
        draw(tmp_path, "train", number, void=number == 0)
        draw(tmp_path, "test", number)
    items = measured(tmp_path)
    assert items.names == tuple(f"{number}.png" for number in range(6))
    assert items.scores["miou"].min() > 0.9
    assert items.expected["miou"].max() < 0.25
    unseeing = measured(tmp_path, blind)
    np.testing.assert_array_equal(unseeing.scores["miou"], unseeing.expected["miou"])
    np.testing.assert_array_equal(unseeing.scores["dice"], unseeing.expected["dice"])


def test_overlaps_are_means_over_the_classes_that_occur():
    generator = np.random.default_rng(0)
    found, true = generator.integers(0, 3, (2, 9, 7))
    expected = [score(true.ravel(), found.ravel(), average="macro") for score in (jaccard_score, f1_score)]
    assert overlaps(found, true) == pytest.approx(expected)
    assert overlaps(np.zeros((2, 2), int), np.array([[0, 0], [0, 255]])) == (1, 1)
    assert np.isnan(overlaps(found, np.full((9, 7), 255))).all()


def test_a_place_has_the_class_of_most_of_its_known_pixels():
    mask = np.array([[0, 0, 1, 1], [0, 1, 255, 255], [255, 255, 2, 2], [255, 255, 2, 0]], np.uint8)
    assert commonest(mask, (2, 2), 3).tolist() == [[0, 1], [255, 2]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda path: path.unlink(), r"masks/0.png cannot be read"),
        (lambda path: Image.new("L", (5, 5)).save(path), r"must have 8 bits, one channel and 48 x 32 px"),
        (lambda path: Image.new("RGB", (48, 32)).save(path), r"must have 8 bits, one channel"),
        (lambda path: Image.new("L", (48, 32), 7).save(path), r"has the value 7, but `classes` names 3"),
    ],
)
def test_masks_that_do_not_fit_are_refused(tmp_path, change, reason):
    draw(tmp_path, "train", 0)
    draw(tmp_path, "test", 0)
    change(tmp_path / "train/masks/0.png")
    with pytest.raises(UserError, match=reason):
        measured(tmp_path)


def geojson(*drawn: tuple[str, list[list[int]]]) -> str:
    """Polygons, each with its class, as QuPath exports them."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[*corners, corners[0]]]},
            "properties": {"objectType": "annotation", "classification": {"name": name}},
        }
        for name, corners in drawn
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


def box(x: int, y: int, width: int, height: int) -> list[list[int]]:
    return [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]


def test_polygons_are_a_mask_like_a_png(tmp_path):
    for number in range(4):
        for split in ("train", "test"):
            draw(tmp_path, split, number, void=True)
    expected = measured(tmp_path)
    for path in sorted(tmp_path.glob("*/masks/*.png")):
        mask = np.array(Image.open(path))[::8, ::8]
        places = [(row, column) for row, column in np.ndindex(mask.shape) if mask[row, column]]  # 0 is not drawn
        names = {1: "b", 2: "c", 255: "Ignore*"}
        drawn = [(names[int(mask[place])], box(8 * place[1], 8 * place[0], 8, 8)) for place in places]
        path.with_suffix(".geojson").write_text(geojson(*drawn))
        path.unlink()
    found = measured(tmp_path)
    assert found.scores["miou"].tolist() == expected.scores["miou"].tolist()
    assert found.expected["dice"].tolist() == expected.expected["dice"].tolist()


def test_the_last_polygon_is_on_top(tmp_path):
    (tmp_path / "0.geojson").write_text(geojson(("b", box(0, 0, 4, 2)), ("a", box(1, 0, 1, 1)), ("c", box(2, 0, 9, 9))))
    assert read_mask(tmp_path, "0", (4, 3), ("a", "b", "c")).tolist() == [[1, 0, 2, 2], [1, 1, 2, 2], [0, 0, 2, 2]]


def test_an_image_without_polygons_is_all_of_the_first_class(tmp_path):
    (tmp_path / "0.geojson").write_text(geojson())
    assert not read_mask(tmp_path, "0", (4, 3), ("a", "b", "c")).any()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (geojson(("gland", box(0, 0, 2, 2))), "0.geojson has a polygon whose class is 'gland', which `classes` does"),
        (geojson(("", box(0, 0, 2, 2))), r"whose class is none: use a, b, c or Ignore\*"),
        ("{", "0.geojson is not JSON"),
    ],
)
def test_polygons_that_do_not_fit_are_refused(tmp_path, text, reason):
    (tmp_path / "0.geojson").write_text(text)
    with pytest.raises(UserError, match=reason):
        read_mask(tmp_path, "0", (4, 3), ("a", "b", "c"))


def test_two_masks_of_one_image_are_refused(tmp_path):
    draw(tmp_path, "train", 0)
    (tmp_path / "train/masks/0.geojson").write_text(geojson(("b", box(0, 0, 2, 2))))
    with pytest.raises(UserError, match=r"0.png and 0.geojson are both masks of one image: remove one"):
        read_mask(tmp_path / "train/masks", "0", (48, 32), ("a", "b", "c"))
