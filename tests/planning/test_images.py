"""Images are counted where they lie, and estimated where slides are not tiled yet."""

import json

import numpy as np
import pytest
from tests.diffusion.tiny import run_script
from tests.drawing import drawn_slide
from tests.planning.tiny import draw_pictures

from gensis.images.codec import encode_png
from gensis.images.store import write_store
from gensis.planning.images import image_set
from gensis.settings.datasets import FolderDataset, SlidesDataset, TorchvisionDataset
from gensis.settings.units import list_units


def test_a_folder_is_counted_and_its_stores_take_the_expected_bytes(tmp_path):
    draw_pictures(tmp_path / "pictures")
    dataset = FolderDataset(kind="folder", path=str(tmp_path / "pictures"), max_images={"train": 15})
    units = list_units(dataset, None)
    expected = image_set(dataset, units, tmp_path / "images")
    assert (expected.units, expected.train, expected.test, expected.image_px) == (2, 15, 12, 16)
    for unit in units.units:
        files = {kind: tmp_path / "images" / f"{unit.name}.{kind}" for kind in ("h5", "json")}
        config = dataset.model_dump_json()
        run_script(
            "import_images", "--config", config, "--unit", unit.name, "--store", files["h5"], "--outcome", files["json"]
        )
    stored = image_set(dataset, units, tmp_path / "images")
    assert (stored.train, stored.test, stored.image_px) == (15, 12, 16)
    with_columns = sum(path.stat().st_size for path in (tmp_path / "images").glob("*.h5")) / 27
    assert stored.bytes_per_image == pytest.approx(with_columns)
    assert expected.bytes_per_image < with_columns


def test_stores_made_with_other_settings_are_not_counted(tmp_path):
    draw_pictures(tmp_path / "pictures")
    trial = FolderDataset(kind="folder", path=str(tmp_path / "pictures"), max_images={"train": 5})
    whole = trial.model_copy(update={"max_images": {}})
    units = list_units(trial, None)
    for unit in units.units:
        files = {kind: tmp_path / "images" / f"{unit.name}.{kind}" for kind in ("h5", "json")}
        options = ["--unit", unit.name, "--store", files["h5"], "--outcome", files["json"]]
        run_script("import_images", "--config", trial.model_dump_json(), *options)
    assert image_set(trial, units, tmp_path / "images").train == 5
    assert image_set(whole, units, tmp_path / "images").train > 5


def test_tiles_of_slides_are_estimated_from_their_thumbnails(tmp_path):
    lines = ["slide,path"]
    for seed, kind in enumerate(["lymphoid", "glandular"]):
        drawn_slide(tmp_path / f"{kind}.tiff", kind, 320, 320, seed)
        lines.append(f"{kind},{kind}.tiff")
    (tmp_path / "slides.csv").write_text("\n".join(lines))
    dataset = SlidesDataset(kind="slides", sheet=str(tmp_path / "slides.csv"), tile_px=32, mpp=1.0)
    units = list_units(dataset, tmp_path / "slides.csv")
    expected = image_set(dataset, units, tmp_path / "images")
    assert expected.note == "estimated from the thumbnails of 2 of 2 slides"
    images = 0
    for unit in units.units:
        files = {kind: tmp_path / f"{unit.name}.{kind}" for kind in ("h5", "json")}
        config = json.dumps({"tile_px": 32, "mpp": 1.0})
        run_script(
            "tile_slide",
            "--config",
            config,
            "--slide",
            unit.row.path,
            "--unit",
            unit.name,
            "--store",
            files["h5"],
            "--outcome",
            files["json"],
        )
        images += json.loads(files["json"].read_text())["images"]
    assert expected.train == images > 0
    stored = sum((tmp_path / f"{unit.name}.h5").stat().st_size for unit in units.units) / images
    assert stored / 1.5 < expected.bytes_per_image < stored * 1.5


def test_a_data_set_of_torchvision_is_counted_without_a_download(tmp_path):
    dataset = TorchvisionDataset(
        kind="torchvision", name="CIFAR10", root=str(tmp_path / "none"), max_images={"test": 100}
    )
    found = image_set(dataset, list_units(dataset, None), tmp_path / "images")
    assert (found.train, found.test, found.image_px) == (50_000, 100, 32)
    assert not (tmp_path / "none").exists()
    noise = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), np.uint8)
    write_store(tmp_path / "noise.h5", map(encode_png, noise), {})
    assert found.bytes_per_image < (tmp_path / "noise.h5").stat().st_size / 10  # pictures are smaller than noise
