"""Embedding of stores, and export of features per slide."""

from argparse import Namespace

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.figures.tiny import flat, write_slide

import embed_images
import export_features
from gensis.artifacts.files import write_json
from gensis.artifacts.tables import write_table
from gensis.errors import UserError
from gensis.images.codec import encode_png
from gensis.images.embeddings import external_weights, read_embeddings
from gensis.settings.runtime import Runtime
from gensis.ssl.backbone import create_backbone, load_encoder, save_encoder
from gensis.ssl.preprocessing import Preprocessing

VIT = ("vit_tiny_patch16_224", {"patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 2})
COLOURS = {"a": [(10, 20, 30), (200, 0, 0), (0, 0, 255)], "none": [], "b": [(90, 90, 0), (1, 250, 3)]}


@pytest.fixture
def slides(tmp_path):
    """Three slides, one without tiles, and an encoder that depends on external weights."""
    for unit, colours in COLOURS.items():
        coords = [(512 * number, 1024) for number in range(len(colours))]
        write_slide(tmp_path / f"{unit}.h5", coords, [flat(colour) for colour in colours])
    torch.manual_seed(0)
    backbone, made_with = create_backbone(VIT[0], 16, VIT[1])
    preprocessing = Preprocessing((16, 16), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    save_encoder(backbone, tmp_path / "encoder", name=VIT[0], arguments=made_with, preprocessing=preprocessing)
    write_json(tmp_path / "encoder/provenance.json", {"external_weights": {"theirs": "1234"}})
    return tmp_path


def embed(folder, units=tuple(COLOURS), **changes):
    arguments = {"config": {}, "runtime": Runtime(inference_batch_size=2), "images": folder, "units": list(units)}
    arguments |= {"encoder": folder / "encoder", "random": None, "pixels": False, "output": folder / "part-0000.h5"}
    arguments |= {"corruption": None, "last_blocks": None}
    embed_images.main(Namespace(**(arguments | {"seed": 0, "gpus": 0, "threads": 1, "started": 0.0} | changes)))
    return read_embeddings([folder / "part-0000.h5"])


def test_embeddings_do_not_depend_on_the_number_of_threads(tmp_path, slides):
    of_units = {}
    write_slide(slides / "many.h5", [(0, 0)] * 70, [flat((number, 100, 255 - number)) for number in range(70)])
    for threads in (1, 3):
        changes = {"threads": threads, "runtime": Runtime(inference_batch_size=64), "output": slides / "part-0000.h5"}
        of_units[threads] = embed(slides, ("many", "a"), **changes).features
        (slides / "part-0000.h5").unlink()
    assert np.array_equal(of_units[1], of_units[3])
    assert np.unique(of_units[1].round(6), axis=0).shape[0] == 73


def expected(folder, unit):
    images = torch.tensor(COLOURS[unit], dtype=torch.uint8).view(-1, 3, 1, 1).expand(-1, 3, 16, 16)
    return load_encoder(folder / "encoder")(images).numpy()


def test_embeddings_do_not_depend_on_the_block_size(slides):
    found = embed(slides)
    assert found.unit.tolist() == [0, 0, 0, 2, 2]
    np.testing.assert_allclose(found.features[:3], expected(slides, "a"), atol=1e-5)
    np.testing.assert_allclose(found.features[3:], expected(slides, "b"), atol=1e-5)
    assert external_weights([slides / "part-0000.h5"]) == {"theirs": "1234"}


def test_embeddings_that_are_not_finite_are_not_written(slides):
    weights = load_file(slides / "encoder/model.safetensors")
    weights["blocks.0.attn.proj.bias"][3] = float("nan")
    save_file(weights, slides / "encoder/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="embeddings are not finite: the encoder's training diverged"):
        embed(slides)
    assert not (slides / "part-0000.h5").exists()


def test_normalised_embeddings_have_length_one_and_empty_ones_a_width(slides):
    lengths = np.linalg.norm(embed(slides, config={"normalize": True}).features, axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)
    assert embed(slides, ["none"]).features.shape == (0, 24)


def test_mirrored_images_are_embedded_with_flips(slides):
    gradient = np.zeros((64, 64, 3), np.uint8)
    gradient[:, :32] = 255
    write_slide(
        slides / "a.h5", [(0, 0), (0, 0)], [encode_png(image) for image in (gradient, gradient[:, ::-1].copy())]
    )
    found = embed(slides, ("a",), config={"flips": True})
    np.testing.assert_allclose(found.flipped, found.features[::-1], atol=1e-5)
    assert np.abs(found.flipped - found.features).max() > 1e-2
    assert embed(slides, ("a",)).flipped is None


def test_last_blocks_are_embedded_for_images_and_mirrored_images(slides):
    found = embed(slides, last_blocks=4)
    np.testing.assert_allclose(found.features[:3], expected(slides, "a"), atol=1e-5)  # of its one block
    np.testing.assert_allclose(found.flipped, found.features, atol=1e-5)  # images of one colour
    with h5py.File(slides / "part-0000.h5") as file:
        assert file.attrs["last_blocks"] == 4
    assert embed(slides, encoder=None, pixels=True, last_blocks=4).features.shape == (5, 768)


def test_an_invalid_store_is_a_one_line_error_and_leaves_no_part(slides):
    (slides / "b.h5").write_bytes(b"no store")
    with pytest.raises(UserError, match=r"b.h5 is not an HDF5 file") as error:
        embed(slides)
    assert "\n" not in str(error.value)
    assert not (slides / "part-0000.h5").exists()


def export(folder):
    """Write the features of the slides in units.tsv, as a job for the encoder gen-dino does."""
    files = {"embeddings": [folder / "part-0000.h5"], "units": folder / "units.tsv", "output": folder / "features"}
    export_features.main(Namespace(**files, encoder="gen-dino"))


def test_exported_features_exclude_tiles_that_fail_quality(slides):
    embed(slides)
    rows = [("a", "1-2"), ("none", ""), ("b", "")]
    write_table(slides / "units.tsv", ("unit", "rows"), rows)
    export(slides)
    assert sorted(path.name for path in (slides / "features").iterdir()) == ["a.h5", "b.h5", "stamp"]
    with h5py.File(slides / "features/a.h5") as file:
        np.testing.assert_allclose(file["features"][:], expected(slides, "a")[1:], atol=1e-5)
        assert file["coords"][:].tolist() == [[512, 1024], [1024, 1024]]
        assert (file["features"].dtype, file["coords"].dtype) == (np.float32, np.int64)
        assert dict(file["coords"].attrs) == {
            "patch_size": 256, "patch_size_level0": 512, "level0_width": 4096, "level0_height": 4096,
            "overlap": 0, "name": "a", "level0_magnification": 40, "target_magnification": 20,
        }  # fmt: skip
        assert dict(file["features"].attrs) == {"encoder": "gen-dino"}


def test_no_slide_with_tiles_is_an_error_that_points_to_the_reasons(slides):
    embed(slides, ["none"])
    write_table(slides / "units.tsv", ("unit", "rows"), [("none", "")])
    with pytest.raises(
        UserError, match=r"none of 1 slides has tiles: see the reasons in .*/outcomes.tsv or outcomes.failed.tsv"
    ):
        export(slides)


def test_stamp_files_link_the_features_and_have_coordinates_in_um(slides):
    embed(slides)
    write_table(slides / "units.tsv", ("unit", "rows"), [("a", ""), ("none", ""), ("b", "")])
    export(slides)
    with h5py.File(slides / "features/stamp/b.h5", swmr=True, libver="latest") as file:
        np.testing.assert_allclose(file["feats"][:], expected(slides, "b"), atol=1e-5)
        assert file["coords"][:].tolist() == [[0, 256], [128, 256]]
        assert (file.attrs["tile_size_um"], file.attrs["tile_size_px"], file.attrs["unit"]) == (128, 256, "um")
        assert file.attrs["extractor"] == "gen-dino"


def test_corrupted_images_are_embedded_instead_of_clean_ones(slides):
    clean = embed(slides).features
    damaged = embed(slides, corruption="noise-5")
    blockwise = embed(slides, corruption="noise-5", runtime=Runtime(inference_batch_size=5)).features
    assert damaged.units == tuple(COLOURS)
    assert (np.abs(damaged.features - clean).max(axis=1) > 1e-3).all()
    np.testing.assert_allclose(blockwise, damaged.features, atol=1e-5)
    alone = embed(slides, ("b",), corruption="noise-5").features
    np.testing.assert_allclose(alone, damaged.features[3:], atol=1e-5)
    with h5py.File(slides / "part-0000.h5") as file:
        assert file.attrs["corruption"] == "noise-5"
