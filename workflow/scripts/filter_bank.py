"""Filter a bank's shard: measure its images, and select those that encoders are trained on."""

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from gensis import command
from gensis.artifacts.files import content_id
from gensis.artifacts.provenance import external_weights_of, provenance, to_attribute
from gensis.augment.resample import resize
from gensis.bank.generation import even_batch_size
from gensis.diffusion.pipeline import slerp
from gensis.evaluation.copying import copy_ratios
from gensis.images.bank_filter import FORMAT, filter_path, write_filter
from gensis.images.features import Features
from gensis.images.index import Index, index_of, read_index
from gensis.images.ranges import to_signed
from gensis.images.reading import StreamedImages, read_ahead
from gensis.images.store import Store
from gensis.settings.bank import Filter
from gensis.settings.runtime import Runtime
from gensis.ssl.backbone import load_encoder
from gensis.training.device import choose_device, device_name

PIXELS_PX = 16
NEIGHBOURS_AMONG = 4096  # training images that a source's neighbours are searched in
SECONDS_A_LINE = 20

log = logging.getLogger("filter_bank")


class BankFilter:
    """Compares generated images with their conditions and sources."""

    def __init__(self, arguments: argparse.Namespace, index: Index, features: Features, device: torch.device):
        """Open the encoder and the training images; ``features`` are the embeddings of the index's images."""
        self.features, self.device, self.threads = features, device, arguments.threads
        self.images = StreamedImages(index, device, arguments.threads)
        self.encoder = load_encoder(arguments.encoder).to(device)
        # The batch size must not depend on the number of shards, since it affects the last bits of the results.
        self.batch_size = even_batch_size(len(index), arguments.runtime.inference_batch_size)
        draw = np.random.default_rng(arguments.seed)
        self.known_rows = np.sort(draw.choice(len(index), min(NEIGHBOURS_AMONG, len(index)), replace=False))
        blocks = torch.from_numpy(self.known_rows).split(self.batch_size)
        self.known = np.concatenate([small_pixels(block) for block in read_ahead(self.images, blocks)])

    def measure(self, path: Path) -> dict[str, np.ndarray]:
        """`fidelity` and `copy_ratio` of the images of a store, float32 (N,) each."""
        with Store(path) as store:
            columns = {name: store.column(name) for name in ("source", "partner", "alpha")}
            line = {"unit": path.stem, "images": str(len(store)), "content": store.content}
        count = len(columns["source"])
        measured = {name: np.empty(count, np.float32) for name in ("fidelity", "copy_ratio")}
        if not count:
            return measured
        firsts = range(0, count, self.batch_size)
        batches = [np.arange(first, first + self.batch_size).clip(max=count - 1) for first in firsts]
        origins = ("source", "partner") if (columns["partner"] >= 0).all() else ("source",)
        origin_rows = (torch.from_numpy(np.concatenate([columns[name][rows] for name in origins])) for rows in batches)
        originals = read_ahead(self.images, origin_rows)
        began = logged = time.time()
        with StreamedImages(index_of(path.parent, [line]), self.device, self.threads) as generated:
            of_batches = zip(batches, read_ahead(generated, map(torch.from_numpy, batches)), originals)
            for rows, images, own in of_batches:
                of_batch = {name: column[rows] for name, column in columns.items()}
                measured["fidelity"][rows] = self.fidelity(images, **of_batch)
                rows_of_own = [of_batch[name] for name in origins]
                measured["copy_ratio"][rows] = self.copy_ratio(images, own, rows_of_own)
                if rows[-1] == count - 1 or time.time() - logged > SECONDS_A_LINE:
                    command.progress(log, int(rows[-1]) + 1, count, began, "images")
                    logged = time.time()
        return measured

    def fidelity(self, images: torch.Tensor, source: np.ndarray, partner: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """Cosine similarity of each generated image's embedding with its condition, float32 (n,)."""
        conditions = F.normalize(self.features[source])
        if (partner >= 0).all():
            conditions = slerp(conditions, F.normalize(self.features[partner]), torch.from_numpy(alpha))
        with torch.inference_mode():
            return F.cosine_similarity(self.encoder(images).cpu(), conditions).numpy()

    def copy_ratio(self, images: torch.Tensor, originals: torch.Tensor, rows_of: list[np.ndarray]) -> np.ndarray:
        """Copy ratio of each image (see `copy_ratios`): the smaller of those to source and partner, float32 (n,).

        Args:
            images: uint8 (n, 3, H, W), generated images.
            originals: uint8 (n or 2 n, 3, h, w): all sources, followed by all partners of interpolated images.
            rows_of: rows (n,) of the sources, and of the partners of interpolated images.
        """
        pixels, ratios = small_pixels(images), []
        for rows, of_images in zip(rows_of, np.split(small_pixels(originals), len(rows_of))):
            place = np.searchsorted(self.known_rows, rows).clip(max=len(self.known_rows) - 1)
            own = np.where(self.known_rows[place] == rows, place, -1)
            ratios.append(copy_ratios(pixels, of_images, self.known, own))
        return np.min(ratios, axis=0)


def small_pixels(images: torch.Tensor) -> np.ndarray:
    """Pixels in [-1, 1] of images resized to 16 px: float32 (n, 768) from uint8 (n, 3, H, W)."""
    return to_signed(resize(images, PIXELS_PX).round()).flatten(1).cpu().numpy()


def main(arguments: argparse.Namespace) -> None:
    """Write a filter file for each store of the shard."""
    device = choose_device(arguments.gpus, arguments.threads)
    settings = Filter.model_validate(arguments.config)
    index = read_index(arguments.train)
    features = Features(index, arguments.embeddings)
    bank_filter = BankFilter(arguments, index, features, device)
    external = external_weights_of(arguments.encoder)
    inputs = {
        "train": content_id(arguments.train),
        "embeddings": features.content,
        "encoder": content_id(arguments.encoder / "model.safetensors"),
    }
    for path in arguments.stores:
        measured = bank_filter.measure(path)
        keep = (measured["fidelity"] >= settings.minimum_fidelity) & (measured["copy_ratio"] >= settings.copying_ratio)
        log.info("%s: %d of %d images are kept", path.stem, keep.sum(), len(keep))
        with Store(path) as store:
            of = inputs | {path.stem: store.content}
        name = device_name(device)
        record = provenance(
            FORMAT,
            settings=arguments.config,
            inputs=of,
            seed=arguments.seed,
            device=name,
            started=arguments.started,
            external_weights=external,
        )
        attributes = settings.model_dump() | {"provenance": to_attribute(record)}
        write_filter(filter_path(path), measured, keep, attributes)


if __name__ == "__main__":
    parser = command.parser(__doc__, seed=True, gpus=True)
    parser.add_argument("--runtime", type=Runtime.model_validate_json, default=Runtime())
    parser.add_argument("--train", type=Path, required=True, help="train.tsv of the data set")
    parser.add_argument("--embeddings", type=Path, nargs="+", required=True, help="embeddings of its images, all parts")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the encoder of these embeddings")
    parser.add_argument("--stores", type=Path, nargs="+", required=True, help="stores of the bank's shard")
    command.run(main, parser.parse_args())
