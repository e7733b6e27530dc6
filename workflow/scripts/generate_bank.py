"""Generate one shard of a bank: generative images of its sources, and interpolations between sources and partners."""

import argparse
import logging
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gensis import command
from gensis.artifacts.files import content_id, digest, read_json
from gensis.artifacts.provenance import external_weights_of, provenance, to_attribute
from gensis.bank.blocks import Blocks, stored_once
from gensis.bank.generation import encode_batches, even_batch_size, generate_plan, largest_batch
from gensis.bank.plan import Plan, plan_generative, plan_interpolated
from gensis.bank.shards import remove_beyond, shard_sources
from gensis.diffusion.loading import generate_function, load_pipeline
from gensis.diffusion.pipeline import GenSISPipeline
from gensis.evaluation.neighbours import nearest_others
from gensis.images.codec import PNG, encode_jpeg, encode_png
from gensis.images.features import Features
from gensis.images.index import Index, read_index
from gensis.images.store import Store, write_store
from gensis.progress import progress
from gensis.settings.bank import Bank
from gensis.settings.runtime import Runtime
from gensis.training.device import allow_tf32, choose_device, device_name

LARGEST_LOSSLESS_PX = 64
JPEG_QUALITY = 95
FORMAT = "gensis-bank/1"

log = logging.getLogger("generate_bank")


def main(arguments: argparse.Namespace) -> None:
    """Generate the shard's generative images, then its interpolated images."""
    device = choose_device(arguments.gpus, arguments.threads)
    settings = Bank.model_validate(arguments.config)
    index = read_index(arguments.train)
    features = Features(index, arguments.embeddings)
    pipeline = load_pipeline(arguments.diffusion, features.shape[1], device)
    inputs = {
        "train": content_id(arguments.train),
        "embeddings": features.content,
        "diffusion": read_json(arguments.diffusion / "provenance.json")["weights"],
    }
    sources = shard_sources(len(index), arguments.shard, arguments.shards)
    # Depends on the number of sources of all shards, since images must not depend on the number of shards.
    batch_size = even_batch_size(len(index), largest_batch(arguments.runtime.inference_batch_size, device))
    encode = choose_encoder(index, pipeline.image_px)
    folder = checkpoint_folder(arguments, inputs, sources, batch_size=batch_size, device=device)
    plans = plan_shard(settings, features, sources, seed=arguments.seed, folder=folder, device=device)
    allow_tf32(device, arguments.runtime.tf32)  # not before: the search of neighbours is exact
    for kind, plan in plans.items():

        def encoded_images(start: int, kind: str = kind, plan: Plan = plan) -> Iterator[bytes]:
            if start:
                log.info("resuming at %s image %d of %d", kind, start, len(plan))
            batches = generate_plan(
                plan,
                features,
                noise_shape=pipeline.noise_shape,
                generate=generate_function(pipeline, settings, arguments.runtime.compile),
                batch_size=batch_size,
                start=start,
                device=device,
                threads=arguments.threads,
            )
            reported = progress(batches, len(plan) - start, f"{kind} images", size=len)
            return encode_batches(reported, encode, arguments.threads)

        blocks = Blocks(folder / kind, batch_size, arguments.runtime.checkpoint_seconds)
        origin = partial(attributes, arguments, settings, pipeline=pipeline, inputs=inputs, kind=kind)
        path = getattr(arguments, kind)
        write_store(path, blocks.resumed(encoded_images), origin, columns=plan.columns)
        remove_beyond(path.parent, kind, arguments.shards)
    # Only after both stores are written: if the job fails before, Snakemake removes them and it resumes from blocks.
    shutil.rmtree(folder, ignore_errors=True)


def checkpoint_folder(
    arguments: argparse.Namespace, inputs: dict[str, str], sources: range, *, batch_size: int, device: torch.device
) -> Path:
    """Folder of the shard's blocks.

    Its name depends on the output path and on everything that the images depend on: no job resumes from the blocks of
    another.
    """
    where = str(arguments.generative), sources.start, sources.stop
    key = [arguments.config, inputs, arguments.seed, *where, batch_size, device.type]
    return arguments.checkpoints / "bank" / digest(key)


def plan_shard(
    settings: Bank, features: Features, sources: range, *, seed: int, folder: Path, device: torch.device
) -> dict[str, Plan]:
    """Plans of the generative and the interpolated images of some sources; ``folder`` is that of the checkpoints."""
    toward = settings.toward_neighbour

    def search() -> np.ndarray:
        every_row = features[np.arange(len(features))].numpy()
        return nearest_others(every_row, np.array(sources), toward.neighbours, device)

    partners = {"neighbours": stored_once(folder / "neighbours.npy", search), "share": toward.share} if toward else {}
    return {
        "generative": plan_generative(sources, settings.variants, seed, **partners),
        "interpolated": plan_interpolated(sources, len(features), settings.alphas, seed),
    }


def attributes(
    arguments: argparse.Namespace, settings: Bank, *, pipeline: GenSISPipeline, inputs: dict[str, str], kind: str
) -> dict[str, Any]:
    """Attributes of the store of one kind of image."""
    external = external_weights_of(arguments.diffusion)
    device = device_name(pipeline.device)
    toward = settings.toward_neighbour if kind == "generative" else None
    record = provenance(
        FORMAT,
        settings=arguments.config,
        inputs=inputs,
        seed=arguments.seed,
        device=device,
        started=arguments.started,
        external_weights=external,
    )
    return {
        "kind": kind,
        "bank_seed": arguments.seed,
        "guidance": settings.guidance,
        "guidance_interval": settings.guidance_interval,
        "sampler": settings.sampler,
        "sampling_steps": settings.sampling_steps,
        "image_px": pipeline.image_px,
        **({"neighbours": toward.neighbours} if toward else {}),
        "provenance": to_attribute(record),
    }


def choose_encoder(index: Index, image_px: int) -> Callable[[np.ndarray], bytes]:
    """PNG for small images and if the sources are PNG, else JPEG."""
    with Store(index.paths()[0]) as store:
        lossless = image_px <= LARGEST_LOSSLESS_PX or store.read(0, 1)[0].startswith(PNG)
    return encode_png if lossless else partial(encode_jpeg, quality=JPEG_QUALITY)


if __name__ == "__main__":
    parser = command.parser(__doc__, seed=True, gpus=True)
    parser.add_argument("--runtime", type=Runtime.model_validate_json, default=Runtime())
    parser.add_argument("--train", type=Path, required=True, help="train.tsv of the data set")
    parser.add_argument("--embeddings", type=Path, nargs="+", required=True, help="embeddings of its images, all parts")
    parser.add_argument("--diffusion", type=Path, required=True, help="folder of the diffusion model")
    parser.add_argument("--shard", type=int, default=0, help="number of this shard, from 0")
    parser.add_argument("--shards", type=int, default=1, help="number of shards")
    parser.add_argument("--checkpoints", type=Path, required=True, help="root of the checkpoint folders")
    parser.add_argument("--generative", type=Path, required=True, help="store of generative images to write")
    parser.add_argument("--interpolated", type=Path, required=True, help="store of interpolated images to write")
    command.run(main, parser.parse_args())
