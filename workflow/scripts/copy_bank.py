"""Copy one shard of a bank: real images in place of generated ones, as a control that needs no diffusion model."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gensis import command
from gensis.artifacts.files import content_id
from gensis.artifacts.provenance import provenance, to_attribute
from gensis.bank.copies import columns_of_copies, encoded_images
from gensis.bank.shards import remove_beyond, shard_sources
from gensis.evaluation.neighbours import nearest_others
from gensis.images.embeddings import external_weights
from gensis.images.features import Features
from gensis.images.index import read_index
from gensis.images.store import write_store
from gensis.progress import progress
from gensis.settings.bank import Bank
from gensis.training.device import choose_device, device_name

FORMAT = "gensis-bank/1"


def main(arguments: argparse.Namespace) -> None:
    """Copy the images of the shard's sources, and write a store of interpolated images that is empty."""
    device = choose_device(arguments.gpus, arguments.threads)
    settings = Bank.model_validate(arguments.config)
    index = read_index(arguments.train)
    sources = shard_sources(len(index), arguments.shard, arguments.shards)
    inputs = {"train": content_id(arguments.train)}
    copied = np.array(sources)[:, None]
    if settings.kind == "neighbours":
        features = Features(index, arguments.embeddings)
        inputs["embeddings"] = features.content
        copied = nearest_others(features[np.arange(len(index))].numpy(), copied[:, 0], settings.variants, device)
    columns = {
        "generative": columns_of_copies(sources, copied),
        "interpolated": columns_of_copies(range(0), copied[:0]),
    }
    for kind, of_kind in columns.items():
        path, rows = getattr(arguments, kind), of_kind["copied"]
        images = progress(encoded_images(index, rows, arguments.threads), len(rows), "images copied")
        origin = partial(attributes, arguments, inputs, kind, device_name(device))
        write_store(path, images, origin, columns=partial(dict, of_kind))
        remove_beyond(path.parent, kind, arguments.shards)


def attributes(arguments: argparse.Namespace, inputs: dict[str, str], kind: str, device: str) -> dict[str, Any]:
    """Attributes of the store of one kind of image."""
    record = provenance(
        FORMAT,
        settings=arguments.config,
        inputs=inputs,
        seed=arguments.seed,
        device=device,
        started=arguments.started,
        external_weights=external_weights(arguments.embeddings),
    )
    return {"kind": kind, "bank_seed": arguments.seed, "provenance": to_attribute(record)}


if __name__ == "__main__":
    parser = command.parser(__doc__, seed=True, gpus=True)
    parser.add_argument("--train", type=Path, required=True, help="train.tsv of the data set")
    parser.add_argument("--embeddings", type=Path, nargs="*", default=[], help="of its images, to find neighbours by")
    parser.add_argument("--shard", type=int, default=0, help="number of this shard, from 0")
    parser.add_argument("--shards", type=int, default=1, help="number of shards")
    parser.add_argument("--generative", type=Path, required=True, help="store of copied images to write")
    parser.add_argument("--interpolated", type=Path, required=True, help="empty store to write")
    command.run(main, parser.parse_args())
