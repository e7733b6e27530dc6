"""Export of stored images as files: what other programs read, and how each file is traced to its source."""

import json
import os
import re
import tracemalloc
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from tests.figures.tiny import flat, write_slide
from torchvision.datasets import ImageFolder

import export_bank
import export_images
from gensis.artifacts.tables import read_table, write_table
from gensis.bank.shards import remove_beyond
from gensis.images.bank_filter import filter_path, write_filter
from gensis.images.codec import encode_jpeg, encode_png
from gensis.images.export import read_labels
from gensis.images.index import write_index
from gensis.images.store import Store, write_store

RED, GREEN, BLUE, GREY = (250, 0, 0), (0, 250, 0), (0, 0, 250), (90, 90, 90)
COLOURS = {"a.1": [RED, GREEN, BLUE], "b": [GREY, RED]}
SELECTED = {"a.1": "0,2", "b": ""}
COORDS_LEVEL0 = [(0, 0), (512, 0), (0, 512)]
WHOLE = [("a.1", "", "tumour", "p1"), ("b", "", "normal", "p2")]


@pytest.fixture
def slides(tmp_path):
    """Two slides; the second tile of the first is not selected."""
    lines, listed = [], []
    for unit, colours in COLOURS.items():
        images, content = write_slide(
            tmp_path / f"{unit}.h5", COORDS_LEVEL0[: len(colours)], [flat(colour) for colour in colours]
        )
        selected = 2 if SELECTED[unit] else images
        lines.append((unit, "", "train", "ok", selected, content, SELECTED[unit]))
        listed.append((unit, selected, content))
    columns = ("unit", "group", "split", "outcome", "images", "content", "rows")
    write_table(tmp_path / "units.tsv", columns, lines)
    write_index(tmp_path / "train.tsv", listed, SELECTED)
    label(tmp_path, WHOLE)
    return tmp_path


def label(folder, lines):
    write_table(folder / "labels.tsv", ("unit", "row", "label", "group"), lines)


def export(folder, unit, format="folder", below="export"):
    """Run the script; returns the table's path."""
    table = folder / below / f"{unit}.tsv"
    arguments = {"store": folder / f"{unit}.h5", "units": folder / "units.tsv", "labels": folder / "labels.tsv"}
    export_images.main(Namespace(**arguments, format=format, table=table))
    return table


def members(path: Path) -> list[tuple[str, bytes]]:
    """Names and contents of a tar, read block by block."""
    found, archive = [], path.read_bytes()
    while (name := archive[:100].rstrip(b"\0")) != b"":
        assert int(archive[136:148].rstrip(b"\0 "), 8) == 0, "the date"
        size = int(archive[124:136].rstrip(b"\0 "), 8)
        found.append((name.decode(), archive[512 : 512 + size]))
        archive = archive[512 + -(-size // 512) * 512 :]
    return found


def samples(path: Path) -> dict[str, dict[str, bytes]]:
    """The samples of a tar as webdataset forms them: members with one name up to the first dot of its last part."""
    grouped = {}
    for name, content in members(path):
        key, extension = re.fullmatch(r"((?:.*/)?[^./]+)\.(.+)", name).groups()
        grouped.setdefault(key, {})[extension] = content
    return grouped


def test_image_folder_reads_the_selected_images_with_the_labels_of_their_slides(slides):
    for unit in COLOURS:
        export(slides, unit)
    read = ImageFolder(slides / "export")
    assert read.classes == ["normal", "tumour"]
    found = [(np.asarray(image)[0, 0].tolist(), read.classes[target]) for image, target in read]
    expected = [(GREY, "normal"), (RED, "normal"), (RED, "tumour"), (BLUE, "tumour")]
    assert found == [(list(colour), name) for colour, name in expected]


def test_labels_of_tiles_take_the_place_of_those_of_slides(slides):
    label(slides, [*WHOLE, ("a.1", 2, "stroma", "p1")])
    lines = read_table(export(slides, "a.1")) + read_table(export(slides, "b"))
    assert [line["label"] for line in lines] == ["", "stroma", "", ""]
    assert {path.name for path in (slides / "export").iterdir() if path.is_dir()} == {"stroma", "unlabelled"}


def test_labels_of_slides_do_not_count_if_a_tile_of_any_slide_has_its_own(slides):
    label(slides, [*WHOLE, ("b", 0, "stroma", "p2")])
    assert [row["label"] for row in read_table(export(slides, "a.1"))] == ["", ""]


def test_labels_of_other_images_are_not_held_in_memory(tmp_path):
    label(tmp_path, ((f"slide-{n // 100}", n % 100, f"class {n}", "") for n in range(20_000)))
    tracemalloc.start()
    assert read_labels(tmp_path / "labels.tsv", [("slide-7", 3), ("slide-7", 200)]) == {
        ("slide-7", 3): "class 703",
        ("slide-7", 200): "",
    }
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < os.path.getsize(tmp_path / "labels.tsv") / 2


def test_a_file_has_the_bytes_of_the_store_and_is_traced_to_its_tile(tmp_path, slides):
    picture = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    encoded = [encode_jpeg(picture, 80), encode_png(picture), encode_jpeg(picture, 20)]
    write_slide(slides / "a.1.h5", COORDS_LEVEL0, encoded)
    table = export(slides, "a.1")
    lines = read_table(table)
    assert [(table.parent / line["file"]).read_bytes() for line in lines] == [encoded[0], encoded[2]]
    assert [line["file"] for line in lines] == [f"tumour/a.1/00000{row}.jpg" for row in (0, 2)]
    assert [line["image"] for line in lines] == ["a.1/000000", "a.1/000002"]
    assert [(line["x_level0"], line["y_level0"]) for line in lines] == [("0", "0"), ("0", "512")]


def test_a_natural_image_is_traced_to_its_name_in_the_source(slides):
    columns = {"key": np.array(["cat/1.png", "dog/2.png"], object)}
    write_store(slides / "b.h5", [flat(RED), flat(BLUE)], {}, columns=lambda: columns)
    assert [line["key"] for line in read_table(export(slides, "b"))] == ["cat/1.png", "dog/2.png"]


def test_files_of_an_earlier_or_killed_export_do_not_stay(slides):
    export(slides, "b")
    half = slides / "export/tumour/b/000009.png"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    other = export(slides, "a.1")
    label(slides, [("a.1", "", "tumour", "p1"), ("b", "", "corrected", "p2")])
    export(slides, "b")
    files = {path.relative_to(slides / "export").as_posix() for path in slides.glob("export/*/*/*")}
    listed = {line["file"] for line in [*read_table(other), *read_table(slides / "export/b.tsv")]}
    assert files == listed
    assert ImageFolder(slides / "export").classes == ["corrected", "tumour"]


@pytest.mark.parametrize("format", ["folder", "webdataset"])
def test_units_that_the_data_set_has_no_more_or_in_the_other_split_do_not_stay(slides, format):
    for unit in COLOURS:
        export(slides, unit, format, f"export/{format}/train")
    columns = ("unit", "group", "split", "outcome", "images", "content", "rows")
    lines = [[line[name] for name in columns] for line in read_table(slides / "units.tsv")]
    lines[0][2] = "test"
    write_table(slides / "units.tsv", columns, lines)
    export(slides, "a.1", format, f"export/{format}/test")
    own = slides / f"export/{format}/train/folds.tsv"
    own.write_text("image\tfold\n")
    export(slides, "a.1", format, f"export/{format}/test")
    assert own.exists()
    own.unlink()
    left = {path.parent.name: path.stem for path in (slides / "export").rglob("*.tsv")}
    assert left == {"train": "b", "test": "a.1"}
    write_table(slides / "units.tsv", columns, lines[:1])
    export(slides, "a.1", format, f"export/{format}/test")
    assert not any(path.is_file() for path in (slides / f"export/{format}/train").rglob("*"))
    if format == "folder":
        assert ImageFolder(slides / "export/folder/test").classes == ["tumour"]


def test_an_export_of_a_shard_goes_with_the_shard(slides):
    for number in range(2):
        image, row = [flat(RED)], np.zeros(1, np.int64)
        columns = {"source": row, "partner": row - 1, "alpha": np.ones(1, np.float32), "variant": row}
        store = slides / f"generative-{number:04d}.h5"
        write_store(store, image, {}, columns=lambda columns=columns: columns)
        table = slides / f"export/folder/generative/{store.stem}.tsv"
        tables = {"train": slides / "train.tsv", "labels": slides / "labels.tsv", "table": table}
        export_bank.main(Namespace(store=store, filtered=False, format="folder", **tables))
    remove_beyond(slides, "generative", 1)
    assert len(ImageFolder(slides / "export/folder/generative")) == 1
    assert [path.stem for path in slides.rglob("generative-*.tsv")] == ["generative-0000"]


@pytest.mark.parametrize("name", ["in situ/grade 3", ".", "..", ".hidden", "100%", "unlabelled"])
def test_any_label_is_one_folder_and_unchanged_in_the_table(slides, name):
    label(slides, [("b", "", name, ""), ("a.1", "", "plain", "")])
    [*lines] = read_table(export(slides, "b"))
    assert {line["label"] for line in lines} == {name}
    for line in lines:
        assert len(Path(line["file"]).parts) == 3
        assert os.path.realpath(slides / "export" / line["file"]) == str((slides / "export").resolve() / line["file"])


def test_different_labels_are_different_folders(slides):
    names = ["a/b", "a%2Fb", "a_b", ".a", "%2Ea"]
    write_slide(slides / "b.h5", [(0, 0)] * len(names), [flat(RED)] * len(names))
    label(slides, [("b", row, name, "") for row, name in enumerate(names)])
    assert len({line["file"].split("/")[0] for line in read_table(export(slides, "b"))}) == len(names)


def test_the_samples_of_a_tar_are_the_images_with_their_lines_of_the_table(slides):
    table = export(slides, "a.1", "webdataset")
    found, lines = samples(table.with_suffix(".tar")), read_table(table)
    assert list(found) == [line["image"] for line in lines] == ["a.1/000000", "a.1/000002"]
    with Store(slides / "a.1.h5") as store:
        assert [sample["png"] for sample in found.values()] == [store.read(row, row + 1)[0] for row in (0, 2)]
    for line, sample in zip(lines, found.values()):
        assert {name: str(value) for name, value in json.loads(sample["json"]).items()} | {"file": line["file"]} == line


def test_the_same_images_give_the_same_tar(slides):
    first = export(slides, "a.1", "webdataset").with_suffix(".tar").read_bytes()
    (slides / "export/a.1.tar").unlink()
    assert export(slides, "a.1", "webdataset").with_suffix(".tar").read_bytes() == first


def test_an_image_of_a_bank_is_traced_to_its_sources_and_has_their_label_if_they_share_one(slides):
    store = slides / "bank/interpolated-0000.h5"
    columns = {
        "source": np.array([0, 0, 2, 3]),  # of the train split: a.1/0, a.1/2, b/0, b/1
        "partner": np.array([1, 2, -1, 2]),
        "alpha": np.array([0.3, 0.5, 1, 0.7], np.float32),
        "variant": np.arange(4, dtype=np.int32),
    }
    write_store(store, [flat(colour) for colour in (RED, GREEN, BLUE, GREY)], {}, columns=lambda: columns)
    keep = np.array([True, True, True, False])
    write_filter(filter_path(store), {}, keep, {})
    arguments = {"store": store, "train": slides / "train.tsv", "labels": slides / "labels.tsv"}
    for filtered in (True, False):
        table = slides / f"export-{filtered}/interpolated-0000.tsv"
        export_bank.main(Namespace(**arguments, filtered=filtered, format="folder", table=table))
        lines = [(line["source"], line["partner"], line["alpha"], line["label"]) for line in read_table(table)]
        expected = [
            ("a.1/000000", "a.1/000002", "0.3", "tumour"),
            ("a.1/000000", "b/000000", "0.5", ""),
            ("b/000000", "", "1.0", "normal"),
            ("b/000001", "b/000000", "0.7", "normal"),
        ]
        assert lines == expected[: 3 if filtered else 4]
    assert ImageFolder(table.parent).classes == ["normal", "tumour", "unlabelled"]
