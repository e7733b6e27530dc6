"""Patho-Bench (github.com/mahmoodlab/Patho-Bench): `PatchEmbeddingsDataset` joins the slides of a patient."""

from pathlib import Path

import h5py
import numpy as np


def read_patient(folder: Path, slides: list[str]) -> dict[str, np.ndarray]:
    """Features and coordinates of a patient's slides, found by their names; their tiles must have one size."""
    files = {path.stem: path for path in folder.iterdir() if path.suffix == ".h5"}
    read, sizes = {"features": [], "coords": []}, set()
    for slide in slides:
        with h5py.File(files[slide]) as file:
            sizes.add(file["coords"].attrs["patch_size_level0"])
            for name, parts in read.items():
                parts.append(file[name][:])
    assert len(sizes) == 1
    return {name: np.concatenate(parts) for name, parts in read.items()}


def test_it_finds_slides_by_their_names_and_joins_them(cuts):
    folder, count = cuts["level"].features, len(cuts["level"].tiles)
    read = read_patient(folder, ["unit", "unit"])
    assert read["features"].shape == (2 * count, 24)
    assert read["coords"].shape == (2 * count, 2)
