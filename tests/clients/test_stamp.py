"""STAMP 2.5 (github.com/KatherLab/STAMP): its MIL data sets read `feats`, `get_coords` um, `encode` the extractor."""

import h5py
import numpy as np
import pytest
from tests.clients.conftest import TARGET_MPP


@pytest.mark.parametrize("kind", TARGET_MPP)
def test_it_reads_features_coordinates_in_um_and_the_name_of_the_encoder(cuts, kind):
    cut = cuts[kind]
    with h5py.File(cut.features / "stamp/unit.h5", "r", swmr=True, libver="latest") as file:
        assert isinstance(file["feats"], h5py.Dataset)
        feats, coords_um, attributes = file["feats"][()], file["coords"][:], dict(file.attrs)
    with h5py.File(cut.features / "unit.h5") as file:
        assert np.array_equal(feats, file["features"])
        np.testing.assert_allclose(coords_um, file["coords"][:] * 0.5)
    assert attributes["feat_type"] == "tile"
    assert attributes["extractor"] == "gen-dino"
    assert attributes["tile_size_um"] / attributes["tile_size_px"] == pytest.approx(TARGET_MPP[kind])
    assert "stamp_version" not in attributes  # refused where it is newer than the user's
