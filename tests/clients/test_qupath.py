"""QuPath 0.4 and later (qupath.readthedocs.io, GeoJSON): path objects as features; geopandas reads the same file."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

import export_geojson
from gensis.settings.datasets import Quality


@pytest.fixture
def exported(tmp_path, cuts) -> Path:
    export_geojson.export(cuts["resampled"].store, Quality(), True, tmp_path / "unit.geojson")
    return tmp_path / "unit.geojson"


def ring_of(feature: dict) -> np.ndarray:
    """The closed outline of a path object, float (n, 2) in level-0 px."""
    assert feature["type"] == "Feature"
    assert feature["geometry"]["type"] == "Polygon"
    (ring,) = feature["geometry"]["coordinates"]
    assert ring[0] == ring[-1]
    return np.array(ring)


def test_it_reads_each_tile_with_its_class_and_measurements(exported, cuts):
    document = json.loads(exported.read_text())
    assert document["type"] == "FeatureCollection"
    kept = [each for each in document["features"] if each["properties"]["classification"]["name"] == "kept"]
    with h5py.File(cuts["resampled"].store) as file:
        corners, side = file["coords"][:], file.attrs["tile_width_level0"]
        tissue = file["tissue_fraction"][:]
    outlines = np.array([ring_of(feature) for feature in kept])
    np.testing.assert_allclose(outlines.min(1), corners)
    np.testing.assert_allclose(outlines.max(1), corners + side)
    for feature in document["features"]:
        properties = feature["properties"]
        assert properties["objectType"] == "tile"
        assert all(0 <= value <= 255 for value in properties["classification"]["color"])
        assert all(isinstance(value, (int, float)) for value in properties["measurements"].values())
    measured = [each["properties"]["measurements"]["tissue_fraction"] for each in kept]
    np.testing.assert_allclose(measured, tissue, rtol=1e-5)  # six digits are written


def test_geopandas_reads_the_outlines(exported):
    geopandas = pytest.importorskip("geopandas", reason="geopandas is not among the pipeline's packages")
    table = geopandas.read_file(exported)
    assert len(table) == len(json.loads(exported.read_text())["features"])
    assert table.geometry.is_valid.all()
