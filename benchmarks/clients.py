"""One real client on a finished run: prints what it read, or fails. `clients.sh` runs each in its own environment.

    python benchmarks/clients.py CLIENT RUN ENCODER DATASET SLIDES [CHECKOUT]

RUN is `results/<run>` with features of ENCODER for DATASET, SLIDES the folder of the slides, CHECKOUT the client's
repository if it is not an installed package. Nothing here imports gensis.
"""

import csv
import io
import json
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import torch
from PIL import Image


class Run:
    """What the run left for one data set and one encoder."""

    def __init__(self, run: str, encoder: str, dataset: str, slides: str):
        self.path, self.encoder = Path(run), encoder
        self.images = self.path.parent / "images" / dataset
        self.features = self.path / "features" / encoder / dataset / "seed0"
        self.files = sorted(self.features.glob("*.h5"))
        self.slides = {path.stem: path for path in Path(slides).iterdir()}

    @property
    def encoder_folder(self) -> Path:
        """With config.json and model.safetensors."""
        return self.path / "encoders" / self.encoder / "seed0"

    def tiles(self, unit: str) -> list[Image.Image]:
        """The stored tiles of a slide; in a run without `quality`, those of its features."""
        with h5py.File(self.images / f"{unit}.h5") as file:
            encoded, offsets = file["encoded"][:].tobytes(), file["offsets"][:].tolist()
        return [Image.open(io.BytesIO(encoded[a:b])).convert("RGB") for a, b in pairwise(offsets)]

    def of_slide(self, path: Path) -> np.ndarray:
        """Features of a file, float32 (N, D)."""
        with h5py.File(path) as file:
            return file["features"][:]


def agreement(theirs: np.ndarray, ours: np.ndarray) -> str:
    """The smallest cosine between their embedding of a tile and ours."""
    cosines = (theirs * ours).sum(1) / np.linalg.norm(theirs, axis=1) / np.linalg.norm(ours, axis=1)
    assert cosines.min() > 0.99, f"cosine of only {cosines.min():.3f} with the run's features"
    return f"{len(ours)} tiles embedded, smallest cosine with the run's features {cosines.min():.5f}"


def clam_tiles(run: Run) -> str:
    """Tiles by its own reader: right where no tile was resampled."""
    import openslide
    from dataset_modules.dataset_h5 import Whole_Slide_Bag_FP

    differences = []
    for path in run.files:
        bag = Whole_Slide_Bag_FP(str(path), openslide.open_slide(str(run.slides[path.stem])), np.asarray)
        theirs = [np.int64(bag[number]["img"]) for number in range(len(bag))]
        differences += [np.abs(a - np.int64(b)).mean() for a, b in zip(theirs, run.tiles(path.stem), strict=True)]
    assert max(differences) < 5, f"other tiles: a mean difference of {max(differences):.0f} grey levels"
    return f"{len(differences)} tiles read, mean difference at most {max(differences):.1f} grey levels (JPEG)"


def clam_bags(run: Run) -> str:
    """Bags of features, and a step of its classifier."""
    from dataset_modules.dataset_generic import Generic_MIL_Dataset
    from models.model_clam import CLAM_SB

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "h5_files").symlink_to(run.features.resolve())
        with open(f"{folder}/slides.csv", "w", newline="") as table:
            csv.writer(table).writerows([("case_id", "slide_id", "label")])
            csv.writer(table).writerows((path.stem, path.stem, path.stem.split("-")[0]) for path in run.files)
        labels = {name: number for number, name in enumerate(sorted({path.stem.split("-")[0] for path in run.files}))}
        data = Generic_MIL_Dataset(
            csv_path=f"{folder}/slides.csv", data_dir=folder, label_dict=labels, print_info=False, shuffle=False
        )
        data.load_from_h5(True)
        bags = [data[number] for number in range(len(run.files))]
    model = CLAM_SB(embed_dim=bags[0][0].shape[1], n_classes=len(labels))
    loss = sum(torch.nn.functional.cross_entropy(model(bag)[0], torch.tensor([label])) for bag, label, _ in bags)
    loss.backward()
    assert torch.isfinite(loss)
    return f"{len(bags)} bags, a finite loss of its classifier"


def trident(run: Run) -> str:
    """Its own features of our coordinates, with our encoder as its custom encoder."""
    import timm
    from trident import OpenSlideWSI
    from trident.patch_encoder_models.load import CustomInferenceEncoder

    model = opened_by_file(run.encoder_folder)
    config = json.loads((run.encoder_folder / "config.json").read_text())["pretrained_cfg"]
    keys = ("input_size", "interpolation", "mean", "std", "crop_pct", "crop_mode")
    transform = timm.data.create_transform(**{key: config[key] for key in keys})
    custom = CustomInferenceEncoder(run.encoder, model, transform, torch.float32)
    theirs = []
    with tempfile.TemporaryDirectory() as folder:
        for path in run.files:
            slide = OpenSlideWSI(slide_path=str(run.slides[path.stem]), lazy_init=False)
            slide.max_workers = 0
            written = slide.extract_patch_features(custom, str(path), folder, device="cpu")
            theirs.append(run.of_slide(Path(written)))
    return agreement(np.concatenate(theirs), np.concatenate([run.of_slide(path) for path in run.files]))


def patho_bench(run: Run) -> str:
    """Two slides of one patient as one sample."""
    from patho_bench.datasets.PatchEmbeddingsDataset import PatchEmbeddingsDataset

    names = [path.stem for path in run.files[:2]]
    split = SimpleNamespace(data=[{"id": "patient", "slide_id": names}], num_folds=1)
    sample = PatchEmbeddingsDataset(split, str(run.features))[0]
    expected = np.concatenate([run.of_slide(path) for path in run.files[:2]])
    assert np.array_equal(sample["features"].numpy(), expected)
    return f"two slides as one sample of {len(expected)} tiles, {sample['attributes']}"


def stamp(run: Run) -> str:
    """Its type of features, bags, coordinates and the name of the extractor."""
    from stamp.encoding.encoder import Encoder
    from stamp.modeling.data import BagDataset, detect_feature_type

    folder = run.features / "stamp"
    files = sorted(folder.glob("*.h5"))
    assert detect_feature_type(folder) == "tile"
    truths = torch.eye(2)[torch.arange(len(files)) % 2]
    bags = BagDataset(bags=[[path] for path in files], bag_size=None, ground_truths=truths, transform=None)
    for number, path in enumerate(run.files):
        assert np.array_equal(bags[number][0].numpy(), run.of_slide(path))
    _, coords, extractor = Encoder._read_h5(SimpleNamespace(precision=torch.float32), str(files[0]))
    assert extractor == run.encoder
    return f"{len(files)} bags, tiles at {coords.mpp:.3f} um/px, extractor {extractor}"


def opened_by_file(folder: Path) -> torch.nn.Module:
    """The form for any version of timm."""
    import timm

    config = json.loads((folder / "config.json").read_text())
    arguments = config["model_args"] | {"num_classes": 0}
    return timm.create_model(
        config["architecture"], checkpoint_path=str(folder / "model.safetensors"), **arguments
    ).eval()


def timm_folder(run: Run) -> str:
    """`local-dir:` with timm's own transform."""
    import timm

    model = timm.create_model(f"local-dir:{run.encoder_folder}", pretrained=True, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    with torch.no_grad():
        theirs = model(torch.stack([transform(tile) for tile in run.tiles(run.files[0].stem)]))
    return agreement(theirs.numpy(), run.of_slide(run.files[0]))


def transformers(run: Run) -> str:
    """AutoModel with its image processor."""
    from transformers import AutoImageProcessor, AutoModel

    model = AutoModel.from_pretrained(run.encoder_folder).eval()
    prepare = AutoImageProcessor.from_pretrained(run.encoder_folder)
    with torch.no_grad():
        theirs = model(**prepare(run.tiles(run.files[0].stem), return_tensors="pt")).pooler_output
    return agreement(theirs.numpy(), run.of_slide(run.files[0]))


def diffusers(run: Run) -> str:
    """The model by its folder alone."""
    from diffusers import DiffusionPipeline

    model = DiffusionPipeline.from_pretrained(run.path / "diffusion" / run.encoder / "seed0", trust_remote_code=True)
    images = model(torch.from_numpy(run.of_slide(run.files[0])[:2]), num_inference_steps=5)
    assert (images.dtype, images.ndim) == (torch.uint8, 4)
    return f"images {tuple(images.shape)} of two embeddings"


def geopandas(run: Run) -> str:
    """The tile grid."""
    import geopandas

    tables = [geopandas.read_file(path) for path in sorted((run.images / "geojson").glob("*.geojson"))]
    assert tables
    assert all(table.geometry.is_valid.all() for table in tables)
    return f"{sum(map(len, tables))} tiles of {len(tables)} slides, all valid polygons"


CLIENTS = {
    "clam-tiles": clam_tiles,
    "clam-bags": clam_bags,
    "trident": trident,
    "patho-bench": patho_bench,
    "stamp": stamp,
    "timm": timm_folder,
    "transformers": transformers,
    "diffusers": diffusers,
    "geopandas": geopandas,
}

if __name__ == "__main__":
    client, run, encoder, dataset, slides, *checkout = sys.argv[1:]
    sys.path[:1] = checkout  # instead of this folder
    print(CLIENTS[client](Run(run, encoder, dataset, slides)))
