"""Linear segmentation on patch tokens."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import f1_score, jaccard_score

from gensis.errors import UserError
from gensis.evaluation.benchmark import BenchmarkData, Items
from gensis.evaluation.tasks.segmentation import commonest, measure, overlaps
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
