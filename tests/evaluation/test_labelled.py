import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from gensis.artifacts.tables import read_table, write_table
from gensis.errors import UserError
from gensis.evaluation.bags import slides_of
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.labelled import Labelled, label_images, lines_about, read_labels_of
from gensis.images.embeddings import Embeddings


def embeddings(**images: int) -> Embeddings:
    """Embeddings of units with the given numbers of images; the only feature of an image is its row."""
    total = sum(images.values())
    unit = np.repeat(np.arange(len(images)), list(images.values())).astype(np.int32)
    features = np.arange(total, dtype=np.float32)[:, None]
    return Embeddings(features=features, unit=unit, units=tuple(images), keys=np.zeros((total, 2), np.int64))


def unit(name: str, images: int, group: str = "", split: str = "", **rows: str) -> dict[str, str]:
    return {"unit": name, "group": group, "split": split, "outcome": "ok", "images": str(images), **rows}


def label(name: str, label: str, row: int | str = "", group: str = "") -> dict[str, str]:
    return {"unit": name, "row": str(row), "label": label, "group": group}


def named(data: Labelled) -> list[str]:
    return [data.classes[code] for code in data.labels]


def same_group(data: Labelled) -> list[list[int]]:
    """Rows of images, which are their features, by group."""
    return sorted(data.features[data.groups == group, 0].astype(int).tolist() for group in np.unique(data.groups))


def test_a_slides_label_applies_to_all_its_images_as_one_group():
    data = label_images(
        embeddings(a=2, b=0, c=3), [unit("a", 2), unit("b", 0), unit("c", 3)], [label("c", "x"), label("a", "y")], True
    )
    assert data.classes == ("x", "y")
    assert named(data) == ["y", "y", "x", "x", "x"]
    assert same_group(data) == [[0, 1], [2, 3, 4]]


def test_a_rows_label_applies_to_one_image_as_its_own_group():
    data = label_images(
        embeddings(a=2, b=2), [unit("a", 2), unit("b", 2)], [label("b", "x", 1), label("a", "y", 0)], False
    )
    assert data.features[:, 0].tolist() == [0, 3]
    assert named(data) == ["y", "x"]
    assert same_group(data) == [[0], [3]]


def test_named_groups_and_a_test_split_are_marked():
    units = [unit("a", 2, group="p"), unit("b", 2), unit("c", 1, split="test")]
    labels = [label("a", "x"), label("b", "y", 0, group="q"), label("b", "y", 1)]
    data = label_images(embeddings(a=2, b=2, c=1), units, labels, True)
    assert data.grouped.tolist() == [True, True, True, False]
    assert data.has_test
    assert not label_images(embeddings(a=2, b=2), units[:2], labels, True).has_test
    bags = slides_of(label_images(embeddings(a=2, b=2, c=1), units, [label("a", "x"), label("b", "y")], True))
    assert (bags.grouped.tolist(), bags.has_test) == ([True, False], True)


def test_a_labels_group_overrides_its_units_group_and_may_span_units():
    data = label_images(
        embeddings(a=2, b=1, c=1),
        [unit("a", 2, group="p"), unit("b", 1, group="p"), unit("c", 1, group="q")],
        [label("a", "x", 0), label("a", "x", 1, group="q"), label("b", "x"), label("c", "x")],
        False,
    )
    assert same_group(data) == [[0, 2], [1, 3]]


def test_unlabelled_images_and_their_classes_are_left_out():
    data = label_images(
        embeddings(a=1, b=1), [unit("a", 1), unit("b", 1), unit("c", 0)], [label("b", "x"), label("c", "z")], True
    )
    assert data.features[:, 0].tolist() == [1]
    assert data.classes == ("x",)
    assert len(label_images(embeddings(a=1), [unit("a", 1)], [], True).labels) == 0


def test_images_have_the_split_of_their_unit():
    data = label_images(
        embeddings(a=2, b=1),
        [unit("b", 1, split="test"), unit("a", 2, split="train")],
        [label("a", "x"), label("b", "x")],
        True,
    )
    assert data.splits.tolist() == ["train", "train", "test"]


def test_images_that_are_not_selected_are_left_out():
    units = [unit("a", 2, rows="0,3"), unit("b", 0, rows="none"), unit("c", 2, rows="")]
    stored = embeddings(a=4, b=3, c=2)
    assert label_images(stored, units, [label(name, "x") for name in "abc"], True).features[:, 0].tolist() == [
        0,
        3,
        7,
        8,
    ]
    lines = [label("a", "x", 1), label("a", "y", 3), label("b", "x", 0), label("c", "z", 1)]
    data = label_images(stored, units, lines, True)
    assert data.features[:, 0].tolist() == [3, 8]
    assert data.classes == ("y", "z")


def test_image_tasks_use_labels_of_images_and_slide_tasks_those_of_slides():
    slide, tile = label("a", "x"), label("a", "y", 0)
    assert lines_about("knn", [slide, tile]) == lines_about("linear", [tile]) == [tile]
    assert lines_about("knn", [slide]) == lines_about("slides-mean", [slide, tile]) == [slide]
    assert lines_about("slides-abmil", [tile]) == []


@pytest.mark.parametrize(
    ("units", "labels", "message"),
    [
        ([unit("a", 3), unit("b", 1)], [], "hold 2 images of unit 'a' but the data set has 3"),
        ([unit("a", 2), unit("b", 1), unit("c", 1)], [], "hold 0 images of unit 'c' but the data set has 1"),
        ([unit("a", 2)], [], "'b' has embeddings but no line"),
        ([unit("a", 2, rows="0,2"), unit("b", 1)], [], "hold 2 images of unit 'a' but the data set has 3"),
        ([unit("a", 2), unit("b", 1, split="val")], [], "split 'val' of unit 'b'"),
        ([unit("a", 2), unit("b", 1)], [label("d", "x")], "no unit 'd'"),
        ([unit("a", 2), unit("b", 1)], [label("a", "x", 2)], "row 2 of unit 'a' does not exist"),
        ([unit("a", 2), unit("b", 1)], [label("a", "x", "-1")], "row -1 of unit 'a' does not exist"),
        ([unit("a", 2), unit("b", 1)], [label("a", "x", 1), label("a", "y")], "unit 'a' is labelled twice"),
    ],
)
def test_inputs_that_do_not_match_are_refused_in_one_line(units, labels, message):
    with pytest.raises(UserError, match=message) as raised:
        label_images(embeddings(a=2, b=1), units, labels, True)
    assert "\n" not in str(raised.value)


def test_a_part_given_twice_is_refused():
    once = embeddings(a=2)
    twice = Embeddings(
        features=np.tile(once.features, (2, 1)), unit=np.array([0, 0, 1, 1], np.int32), units=("a", "a"), keys=once.keys
    )
    with pytest.raises(UserError, match="twice"):
        label_images(twice, [unit("a", 2)], [], True)


def test_embeddings_that_are_not_finite_are_refused():
    diverged = embeddings(a=2, b=1)
    diverged.features[2] = np.nan
    with pytest.raises(UserError, match="unit 'b' are not finite"):
        label_images(diverged, [unit("a", 2), unit("b", 1)], [], True)


def test_slides_are_bags_of_their_images_in_order():
    data = label_images(
        embeddings(a=2, b=0, c=1, d=3),
        [unit("a", 2, "p", "train"), unit("b", 0), unit("c", 1, "p", "train"), unit("d", 3, "q", "test")],
        [label("a", "x"), label("b", "x"), label("d", "y")],
        True,
    )
    slides = slides_of(data)
    assert [slides.name(i) for i in range(2)] == ["a", "d"]
    assert slides.item.tolist() == [0, 3]
    assert [slides.bag(i)[:, 0].tolist() for i in range(2)] == [[0, 1], [3, 4, 5]]
    assert slides.means()[:, 0].tolist() == [0.5, 4]
    assert [slides.classes[code] for code in slides.labels] == ["x", "y"]
    assert slides.splits.tolist() == ["train", "test"]


def test_slides_whose_images_differ_in_label_are_unmeasurable():
    data = label_images(embeddings(a=2), [unit("a", 2)], [label("a", "x", 0), label("a", "y", 1)], True)
    with pytest.raises(Unmeasurable, match="different labels"):
        slides_of(data)


def test_slides_of_a_group_are_one_bag_that_records_the_slide_of_each_image():
    data = label_images(
        embeddings(a=2, b=1, c=2),
        [unit("a", 2, "p"), unit("b", 1, "q"), unit("c", 2, "p")],
        [label("a", "x"), label("b", "y"), label("c", "x")],
        True,
    )
    slides = slides_of(data, "group")
    bag = [slides.name(i) for i in range(2)].index("a+c")
    assert slides.bag(bag)[:, 0].tolist() == [0, 1, 3, 4]
    assert slides.means()[bag, 0] == 2
    found = slides.by_slide(bag, np.array([0.1, 0.2, 0.3, 0.4]))
    assert {slide: (rows.tolist(), values.tolist(), of_bag) for slide, (rows, values, of_bag) in found.items()} == {
        "a": ([0, 1], [0.1, 0.2], 4),
        "c": ([3, 4], [0.3, 0.4], 4),
    }
    differing = replace(data, labels=np.array([0, 0, 1, 1, 1]))
    with pytest.raises(Unmeasurable, match="one group have different labels"):
        slides_of(differing, "group")


def test_labels_of_few_images_among_millions_are_read_in_little_memory(tmp_path):
    columns, images = ("unit", "row", "label", "group"), {("s7", "3"), ("s9", "0")}
    lines = [(f"s{unit}", row, f"{unit}-{row}", "") for unit in range(200) for row in ["", *range(500)]]
    write_table(tmp_path / "labels.tsv", columns, lines)
    tracemalloc.start()
    found = read_labels_of(tmp_path / "labels.tsv", images)
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()
    whole = [line for line in found if not line["row"]]
    assert [line["unit"] for line in whole] == [f"s{unit}" for unit in range(200)]
    assert {(line["unit"], line["row"]) for line in found if line["row"]} == images | {("s0", "0")}


def test_whole_units_do_not_count_for_images_without_a_label_beside_labelled_ones(tmp_path):
    lines = [("a", "", "x", ""), ("b", "", "y", ""), ("b", 1, "z", "")]
    write_table(tmp_path / "labels.tsv", ("unit", "row", "label", "group"), lines)
    kept = read_labels_of(tmp_path / "labels.tsv", {("a", "0")})
    assert lines_about("knn", kept) == lines_about("knn", read_table(tmp_path / "labels.tsv"))
