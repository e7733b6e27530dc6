"""An HDF5 file with offsets, decoded by torchvision in the workers of a DataLoader."""

from functools import cached_property
from pathlib import Path

import h5py
import torch
from packed import stores
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_jpeg
from worker import Work, serve

WORKERS = 2


class Packed(Dataset):
    """Decoded images of one file; each worker opens its own file."""

    def __init__(self, path: Path):
        self.path = path
        with h5py.File(path) as file:
            self.offsets = file["offsets"][:].tolist()

    @cached_property
    def encoded(self) -> h5py.Dataset:
        """All images end to end."""
        return h5py.File(self.path)["encoded"]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> torch.Tensor:
        return decode_jpeg(torch.from_numpy(self.encoded[slice(*self.offsets[row : row + 2])]), ImageReadMode.RGB)


def prepare(order: dict) -> Work:
    """Start the workers and read all images once as a warm-up."""
    (path,) = stores(order["index"])
    loader = DataLoader(
        Packed(path), order["batch"], shuffle=True, drop_last=True, num_workers=WORKERS, persistent_workers=True
    )

    def work(folder: Path) -> int:
        return sum(len(batch) for batch in loader)

    work(Path(order["folder"]))
    return work


if __name__ == "__main__":
    serve(prepare)
