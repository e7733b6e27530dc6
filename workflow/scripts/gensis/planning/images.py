"""Number and size of a data set's images: counted where they are stored or listed, estimated for slides."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gensis.artifacts.files import read_json
from gensis.images.codec import decode
from gensis.images.importing import Imported
from gensis.images.index import read_index
from gensis.images.sources import open_source, selection
from gensis.images.store import Store
from gensis.planning.tiles import SAMPLED, sample_tiles
from gensis.settings.datasets import Dataset, NaturalDataset, SlidesDataset, TorchvisionDataset
from gensis.settings.stages import images_json
from gensis.settings.units import Units

TORCHVISION = {
    "CIFAR10": (50_000, 10_000, 32),
    "CIFAR100": (50_000, 10_000, 32),
    "STL10": (5_000, 8_000, 96),
    "SVHN": (73_257, 26_032, 32),
}
"""Images of train and test, and their side in px, which are counted without a download."""
PNG_BYTES_PER_PX = 2.05
"""Of CIFAR-10; decides the disk space of images that are not downloaded yet."""


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """The images of a data set."""

    units: int
    """Slides or shards."""
    train: int
    """Images of the train split."""
    test: int = 0
    """Images of the test split."""
    image_px: int
    """Side of a stored image."""
    bytes_per_image: float
    """Of a store."""
    note: str = ""
    """How the numbers were estimated; empty if the images were counted."""

    @property
    def images(self) -> int:
        """Of both splits."""
        return self.train + self.test


def image_set(dataset: Dataset, units: Units, folder: Path) -> ImageSet:
    """The images of a data set.

    Args:
        dataset: its settings.
        units: its units.
        folder: of its stores, such as `results/images/<name>`; it need not exist.

    Raises:
        UserError: the source of the images is missing or damaged.
    """
    if all((folder / f"{unit.name}.json").exists() for unit in units.units) and _is_current(dataset, units, folder):
        return _stored(units, folder)
    return _of_slides(dataset, units) if isinstance(dataset, SlidesDataset) else _of_source(dataset, units)


def _is_current(dataset: Dataset, units: Units, folder: Path) -> bool:
    """Whether the stores were made with these settings: those of a trial say nothing about the whole data set."""
    path = next((path for unit in units.units if (path := folder / f"{unit.name}.h5").exists()), None)
    if path is None:
        return False
    with Store(path) as store:
        return json.loads(store.file.attrs["provenance"])["settings"] == json.loads(images_json(dataset))


def _stored(units: Units, folder: Path) -> ImageSet:
    """The images of finished stores; of the train split those that its index selects, if it exists."""
    counts = {unit.name: read_json(folder / f"{unit.name}.json")["images"] for unit in units.units}
    train, test = (sum(counts[unit.name] for unit in units.of_split(split)) for split in ("train", "test"))
    paths = [folder / f"{name}.h5" for name, images in counts.items() if images]
    side = 0
    if paths:
        with Store(paths[0]) as store:
            side = decode(store.read(0, 1)[0]).shape[0]
    index = folder / "train.tsv"
    return ImageSet(
        units=len(counts),
        train=len(read_index(index)) if index.exists() else train,
        test=test,
        image_px=side,
        bytes_per_image=sum(path.stat().st_size for path in paths) / max(train + test, 1),
    )


def _of_slides(dataset: SlidesDataset, units: Units) -> ImageSet:
    sample = sample_tiles(dataset, units.units)
    return ImageSet(
        units=len(units.units),
        train=round(sample.tiles_per_slide * len(units.of_split("train"))),
        test=round(sample.tiles_per_slide * len(units.of_split("test"))),
        image_px=dataset.tile_px,
        bytes_per_image=sample.bytes_per_tile + sample.bytes_per_slide / max(sample.tiles_per_slide, 1),
        note=f"estimated from the thumbnails of {sample.slides} of {len(units.units)} slides",
    )


def _of_source(dataset: NaturalDataset, units: Units) -> ImageSet:
    """The images that a source lists; sizes are those of a sample."""
    splits = dict.fromkeys(unit.split for unit in units.units)
    if isinstance(dataset, TorchvisionDataset):
        train, test, side = TORCHVISION[dataset.name]
        counts = {split: len(selection(total, dataset, split)) for split, total in zip(splits, (train, test))}
        side = dataset.image_px or side
        return _natural(units, counts, side, PNG_BYTES_PER_PX * side**2)
    counts, sizes, side = {}, [], 0
    for split in splits:
        source = open_source(dataset, split, units.rows)
        chosen = selection(len(source.keys), dataset, split)
        counts[split] = len(chosen)
        some = chosen[np.linspace(0, len(chosen) - 1, min(SAMPLED, len(chosen))).round().astype(int)]
        for encoded in Imported().images(source, some, dataset):
            sizes.append(len(encoded))
            side = decode(encoded).shape[0]
    return _natural(units, counts, side, float(np.mean(sizes)) if sizes else 0.0)


def _natural(units: Units, counts: dict[str, int], image_px: int, bytes_per_image: float) -> ImageSet:
    train, test = (counts.get(split, 0) for split in ("train", "test"))
    return ImageSet(units=len(units.units), train=train, test=test, image_px=image_px, bytes_per_image=bytes_per_image)
