"""Thresholds on the scores of tiles, from the settings to the training images."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gensis.artifacts.files import read_json, write_json
from gensis.artifacts.tables import read_table
from gensis.errors import UserError
from gensis.figures.slide_view import read_grid
from gensis.figures.tile_status import KEPT, LOW_QUALITY
from gensis.images import dataset_tables
from gensis.images.codec import encode_png
from gensis.images.index import read_index
from gensis.images.reading import open_images
from gensis.images.store import Store, write_store
from gensis.images.thresholds import chosen_rows
from gensis.settings.datasets import Quality, SlidesDataset
from gensis.settings.units import Units, list_units
from gensis.verification.findings import Findings
from gensis.verification.images import Images
from gensis.verification.origins import Origins

SHEET = "slide,path,label,group,annotations\na,a.tiff,,p1,a.geojson\nb,b.tiff,CLL,p2,\nblurred,c.tiff,FL,p3,\n"
FOCUS = {"a": [9, 1, 7, 8, 2], "b": [5, 5], "blurred": [1, 2, 3]}
PEN = {"a": [0, 0, 0.1, 0.5, 0], "b": [0, 0], "blurred": [0, 0, 0]}


def picture(unit: str, row: int) -> np.ndarray:
    return np.full((4, 4, 3), 10 * list(FOCUS).index(unit) + row, np.uint8)


def square(class_name: str, left: float, right: float) -> dict:
    ring = [[left, 0], [right, 0], [right, 100], [left, 100]]
    return {
        "type": "Feature",
        "properties": {"classification": {"name": class_name}},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three slides of tiles of 100 level-0 px in one row, with their stores, outcomes and sheet."""
    for unit, focus in FOCUS.items():
        columns = {
            "focus": np.array(focus, np.float32),
            "pen_fraction": np.array(PEN[unit], np.float32),
            "coords": np.stack([100 * np.arange(len(focus)), np.zeros(len(focus))], axis=1).astype(np.int64),
        }
        images = [encode_png(picture(unit, row)) for row in range(len(focus))]
        attributes = {"unit": unit, "tile_width_level0": 100.0, "tile_height_level0": 100.0}
        attributes["provenance"] = json.dumps({"settings": {}, "seed": None, "inputs": {}})
        count, content = write_store(
            tmp_path / f"{unit}.h5", images, attributes, columns=lambda columns=columns: columns
        )
        outcome = {"unit": unit, "outcome": "ok", "images": count, "failed": 0, "reason": "", "content": content}
        write_json(tmp_path / f"{unit}.json", outcome)
    for name in ("a.tiff", "b.tiff", "c.tiff"):
        (tmp_path / name).touch()
    (tmp_path / "a.geojson").write_text(json.dumps([square("Tumor", -10, 260), square("Stroma", 260, 400)]))
    (tmp_path / "sheet.csv").write_text(SHEET)
    return tmp_path


def units_of(folder: Path) -> Units:
    sheet = folder / "sheet.csv"
    return list_units(SlidesDataset(kind="slides", sheet=str(sheet)), sheet)


def column(path: Path, name: str) -> list[str]:
    return [row[name] for row in read_table(path)]


@pytest.mark.parametrize(
    ("quality", "chosen"),
    [
        (Quality(), [1, 1, 1, 1, 1]),
        (Quality(minimum={"focus": 7}), [1, 0, 1, 1, 0]),
        (Quality(minimum={"focus": 7}, maximum={"pen_fraction": 0.1}), [1, 0, 1, 0, 0]),
        (Quality(minimum={"focus": 2}, maximum={"focus": 8}), [0, 0, 1, 1, 1]),
    ],
)
def test_thresholds_are_inclusive_and_a_tile_must_pass_all_of_them(folder, quality, chosen):
    with Store(folder / "a.h5") as store:
        assert chosen_rows(store, quality).tolist() == [bool(each) for each in chosen]


def test_nan_passes_no_threshold(tmp_path):
    columns = {"focus": np.array([np.nan, 3], np.float32)}
    write_store(tmp_path / "a.h5", [b"x", b"y"], {}, columns=lambda: columns)
    with Store(tmp_path / "a.h5") as store:
        assert chosen_rows(store, Quality(maximum={"focus": 5})).tolist() == [False, True]
        assert chosen_rows(store, Quality(minimum={"focus": 0})).tolist() == [False, True]


def test_a_store_without_the_score_is_a_one_line_error(folder):
    with Store(folder / "a.h5") as store, pytest.raises(UserError, match="lacks the score fat_fraction: delete it"):
        chosen_rows(store, Quality(maximum={"fat_fraction": 0.5}))


def test_tables_list_selected_images_and_why_a_slide_has_none(folder):
    quality = Quality(minimum={"focus": 5}, maximum={"pen_fraction": 0.1})
    dataset_tables.write_train(folder / "train.tsv", units_of(folder), quality=quality)
    dataset_tables.write_units(folder / "units.tsv", units_of(folder), quality=quality)
    dataset_tables.write_outcomes(folder / "outcomes.tsv", units_of(folder), max_failed=0.5, quality=quality)
    train = read_table(folder / "train.tsv")
    assert [(row["unit"], row["images"], row["first_row"], row["rows"]) for row in train] == [
        ("a", "2", "0", "0,2"),
        ("b", "2", "2", ""),
    ]
    assert column(folder / "units.tsv", "rows") == ["0,2", "", "none"]
    assert column(folder / "units.tsv", "images") == column(folder / "outcomes.tsv", "images") == ["2", "2", "0"]
    assert column(folder / "units.tsv", "outcome") == ["ok", "ok", "low_quality"]
    assert column(folder / "outcomes.tsv", "outcome") == ["ok", "ok", "low_quality"]
    reason = column(folder / "outcomes.tsv", "reason")[2]
    assert "of 3 tiles, 0 pass focus >= 5, 3 pass pen_fraction <= 0.1" in reason


@pytest.mark.parametrize(("allowed", "outcome", "images"), [(0.25, "partial", "3"), (0.2, "unreadable", "0")])
def test_a_slide_with_too_many_failed_tiles_is_not_used_but_stays_stored(folder, allowed, outcome, images):
    path = folder / "blurred.json"
    write_json(path, read_json(path) | {"outcome": "partial", "failed": 1, "reason": "1 of 4 tiles cannot be read"})
    limits = {"max_failed_fraction": allowed}
    dataset_tables.write_train(folder / "train.tsv", units_of(folder), **limits)
    dataset_tables.write_units(folder / "units.tsv", units_of(folder), **limits)
    dataset_tables.write_outcomes(folder / "outcomes.tsv", units_of(folder), max_failed=0.5, **limits)
    assert ("blurred" in column(folder / "train.tsv", "unit")) is (outcome == "partial")
    for name in ("units.tsv", "outcomes.tsv"):
        assert (column(folder / name, "outcome")[2], column(folder / name, "images")[2]) == (outcome, images)
    said = column(folder / "outcomes.tsv", "reason")[2]
    assert ("more than max_failed_fraction 0.2" in said) is (outcome == "unreadable")
    with Store(folder / "blurred.h5") as store:
        statuses = read_grid(store, is_used=int(images) > 0).statuses.tolist()
    assert len(statuses) == 3
    assert set(statuses) == {KEPT if outcome == "partial" else LOW_QUALITY}


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        ("a,a.tiff,,train\nb,b.tiff,,test", True),
        ("a,a.tiff,,train\nb,b.tiff,,train", False),
        ("a,a.tiff,,\nb,b.tiff,,", True),
        ("a,a.tiff,p1,\nb,b.tiff,p2,", True),
        ("a,a.tiff,p1,\nb,b.tiff,p1,", False),
    ],
)
def test_a_copy_of_a_slide_on_the_other_side_of_a_split_is_refused(folder, lines, refused):
    (folder / "sheet.csv").write_text(f"slide,path,group,split\n{lines}\n")
    write_json(folder / "b.json", read_json(folder / "a.json") | {"unit": "b"})
    if not refused:
        dataset_tables.write_units(folder / "units.tsv", units_of(folder))
        return
    with pytest.raises(UserError, match=r"'a' and 'b' contain the same images \(copies of one source\)"):
        dataset_tables.write_units(folder / "units.tsv", units_of(folder))


def test_slides_without_images_are_not_copies_of_each_other(folder):
    for unit in ("a", "b"):
        write_json(folder / f"{unit}.json", read_json(folder / "a.json") | {"unit": unit, "images": 0})
    dataset_tables.write_units(folder / "units.tsv", units_of(folder))


def test_failed_training_slides_are_checked_again_with_a_lower_limit(folder):
    quality = Quality(minimum={"focus": 5})
    dataset_tables.write_outcomes(folder / "outcomes.tsv", units_of(folder), max_failed=0.4, quality=quality)
    with pytest.raises(UserError, match=r"1 of 3 slides .* more than max_failed_slides 0.3"):
        dataset_tables.write_outcomes(folder / "outcomes.tsv", units_of(folder), max_failed=0.3, quality=quality)


def test_no_training_index_is_written_if_too_many_slides_failed(folder):
    with pytest.raises(
        UserError, match=r"1 of 3 training slides .* more than max_failed_slides 0.3; the first, .*outcomes.failed"
    ):
        dataset_tables.write_train(
            folder / "train.tsv", units_of(folder), quality=Quality(minimum={"focus": 5}), max_failed=0.3
        )
    assert not (folder / "train.tsv").exists()
    assert column(folder / dataset_tables.FAILED, "outcome") == ["low_quality"]


def problems(folder: Path) -> list[str]:
    findings = Findings()
    images = Images(folder, True, findings)
    images.check_stores({}, Origins(findings))
    images.check_tables()
    return [line.removeprefix(f"{folder}/") for line in findings.lines()]


def test_verify_accepts_the_selection_and_finds_tables_that_differ(folder):
    quality = Quality(minimum={"focus": 5})
    dataset_tables.write_train(folder / "train.tsv", units_of(folder), quality=quality)
    dataset_tables.write_units(folder / "units.tsv", units_of(folder), quality=quality)
    assert problems(folder) == []
    text = (folder / "units.tsv").read_text()
    for rows, said in [
        ("0,2-4", "units.tsv: selects 4 of the 5 images of a, the last row 4, but states 3"),
        ("0,2,9", "units.tsv: selects 3 of the 5 images of a, the last row 9, but states 3"),
        ("0-2", "train.tsv: selects other images than units.tsv"),
    ]:
        (folder / "units.tsv").write_text(text.replace("\t0,2-3", f"\t{rows}"))
        assert said in problems(folder)[0]


@pytest.mark.parametrize("image_cache_gb", [1.0, 1e-9], ids=["held", "streamed"])
def test_rows_of_the_index_are_located_in_the_stores(folder, image_cache_gb):
    dataset_tables.write_train(folder / "train.tsv", units_of(folder), quality=Quality(minimum={"focus": 5}))
    index = read_index(folder / "train.tsv")
    images = open_images(index, torch.device("cpu"), image_cache_gb, 1)
    expected = [("a", 0), ("a", 2), ("a", 3), ("b", 0), ("b", 1)]
    assert len(index) == len(images) == len(expected)
    found = images.batch(torch.tensor([4, 0, 2, 1, 3])).numpy()[:, 0, 0, 0]
    assert found.tolist() == [picture(*expected[row])[0, 0, 0] for row in (4, 0, 2, 1, 3)]


def test_thresholds_that_all_images_pass_do_not_change_the_tables(folder):
    for name, write in {"train.tsv": dataset_tables.write_train, "units.tsv": dataset_tables.write_units}.items():
        write(folder / name, units_of(folder))
        before = (folder / name).read_bytes()
        assert b"rows" not in before
        write(folder / name, units_of(folder), quality=Quality(minimum={"focus": 1}))
        assert (folder / name).read_bytes() == before
        write(folder / name, units_of(folder), quality=Quality(minimum={"focus": 2}))
        assert (folder / name).read_bytes() != before


def test_a_train_split_without_selected_images_is_an_error_with_reason(folder):
    with pytest.raises(UserError, match=r"3 low_quality.*0 pass focus >= 99"):
        dataset_tables.write_train(folder / "train.tsv", units_of(folder), quality=Quality(minimum={"focus": 99}))
    assert not (folder / "train.tsv").exists()


def test_labels_of_tiles_come_from_annotations_and_of_slides_from_the_sheet(folder):
    dataset = SlidesDataset(kind="slides", sheet=str(folder / "sheet.csv"), quality={"minimum": {"focus": 9}})
    dataset_tables.write_labels(folder / "labels.tsv", dataset, units_of(folder))
    assert [tuple(row.values()) for row in read_table(folder / "labels.tsv")] == [
        ("a", "0", "Tumor", "p1"),
        ("a", "1", "Tumor", "p1"),
        ("a", "2", "Tumor", "p1"),
        ("a", "3", "Stroma", "p1"),
        ("b", "", "CLL", "p2"),
        ("blurred", "", "FL", "p3"),
    ]


def test_annotations_without_classes_are_a_user_error(folder):
    (folder / "a.geojson").write_text(json.dumps([square("", 0, 100)]))
    dataset = SlidesDataset(kind="slides", sheet=str(folder / "sheet.csv"))
    with pytest.raises(UserError, match=r"a\.geojson: no annotation has a class"):
        dataset_tables.write_labels(folder / "labels.tsv", dataset, units_of(folder))


def test_an_annotated_slide_without_tiles_has_no_labels(folder):
    write_store(folder / "a.h5", [], {}, columns=lambda: {"coords": np.zeros((0, 2), np.int64)})
    dataset = SlidesDataset(kind="slides", sheet=str(folder / "sheet.csv"))
    dataset_tables.write_labels(folder / "labels.tsv", dataset, units_of(folder))
    assert column(folder / "labels.tsv", "unit") == ["b", "blurred"]
