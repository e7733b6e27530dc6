"""A plain loop: stores decoded by Pillow, timm's own transform and model, a file of embeddings."""

import io
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
import timm
import torch
from packed import stores
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from torch.utils.data import ConcatDataset, DataLoader, Dataset
from torchvision.transforms import Compose
from worker import Work, serve

WORKERS = 0


class Unit(Dataset):
    """Transformed images of one store; each worker opens its own file."""

    def __init__(self, path: Path, transform: Compose):
        self.path = path
        self.transform = transform
        with h5py.File(path) as file:
            self.offsets = file["offsets"][:].tolist()

    @cached_property
    def encoded(self) -> h5py.Dataset:
        """All images end to end."""
        return h5py.File(self.path)["encoded"]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> torch.Tensor:
        encoded = self.encoded[slice(*self.offsets[row : row + 2])].tobytes()
        return self.transform(Image.open(io.BytesIO(encoded)).convert("RGB"))


def prepare(order: dict) -> Work:
    """No state is kept between repeats; one repeat is the warm-up."""

    def work(folder: Path) -> int:
        model = timm.create_model(f"local-dir:{order['encoder']}", pretrained=True, num_classes=0).eval()
        transform = create_transform(**resolve_model_data_config(model))
        dataset = ConcatDataset([Unit(path, transform) for path in stores(order["index"])])
        with torch.inference_mode():
            loader = DataLoader(dataset, order["batch"], num_workers=WORKERS)
            features = np.concatenate([model(images).numpy() for images in loader])
        with h5py.File(folder / "embeddings.h5", "w") as file:
            file["features"] = features
        return len(features)

    work(Path(order["folder"]))
    return work


if __name__ == "__main__":
    serve(prepare)
