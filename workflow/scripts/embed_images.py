"""Embed the images of some units with a trained encoder, an untrained encoder, or as raw pixels."""

import argparse
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from gensis import command
from gensis.artifacts.files import content_id
from gensis.artifacts.provenance import external_weights_of, provenance, to_attribute
from gensis.augment.corruptions.corruption import corrupt
from gensis.augment.resample import resize
from gensis.images.embeddings import FORMAT, write_embeddings
from gensis.images.reading import read_units
from gensis.images.store import Store
from gensis.progress import progress
from gensis.ranges import to_unit
from gensis.settings.embedding import Embedding
from gensis.settings.pretraining import Pretraining
from gensis.settings.runtime import Runtime
from gensis.ssl.backbone import Encoder, LastBlocks, load_encoder
from gensis.ssl.class_token import class_token_only
from gensis.ssl.embedding import embed, in_parts
from gensis.ssl.untrained import untrained_encoder
from gensis.training.device import allow_tf32, choose_device, device_name

PIXELS_PX = 16


class Pixels(nn.Module):
    """Raw pixels as an embedding: the image at 16 px, centred at mid-grey, (B, 768). A baseline for all encoders."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return float32 (B, 768) for uint8 (B, 3, H, W)."""
        return (to_unit(resize(images, PIXELS_PX)) - 0.5).flatten(1)


def make_encoder(arguments: argparse.Namespace) -> nn.Module:
    """The encoder that the arguments select."""
    if arguments.pixels:
        return Pixels()
    encoder = (
        load_encoder(arguments.encoder) if arguments.encoder else untrained_encoder(arguments.random, arguments.seed)
    )
    return LastBlocks(encoder, arguments.last_blocks) if arguments.last_blocks else encoder


def main(arguments: argparse.Namespace) -> None:
    """Write one part, block by block."""
    device = choose_device(arguments.gpus, arguments.threads)
    allow_tf32(device, arguments.runtime.tf32)
    settings = Embedding.model_validate(arguments.config)
    # Convolutions are faster with channels last; other layers are unaffected.
    encoder = make_encoder(arguments).to(device, memory_format=torch.channels_last).eval()
    if isinstance(encoder, Encoder):
        encoder.backbone = class_token_only(encoder.backbone)  # other tokens are not used here
    paths = [arguments.images / f"{unit}.h5" for unit in arguments.units]
    keys, counts, inputs = [], [], {}
    for path in paths:
        with Store(path) as store:
            keys.append(store.column("coords" if "coords" in store.file else "key"))
            counts.append(len(store))
            inputs[path.stem] = store.content
    external = {}
    if arguments.encoder:
        inputs["encoder"] = content_id(arguments.encoder / "model.safetensors")
        external = external_weights_of(arguments.encoder)

    def attributes() -> dict[str, str]:
        record = provenance(
            FORMAT,
            settings=arguments.config,
            inputs=inputs,
            seed=arguments.seed,
            device=device_name(device),
            started=arguments.started,
            external_weights=external,
        )
        corruption = {"corruption": arguments.corruption} if arguments.corruption else {}
        blocks = {"last_blocks": arguments.last_blocks} if arguments.last_blocks else {}
        return {"provenance": to_attribute(record), **corruption, **blocks}

    def images() -> Iterator[torch.Tensor]:
        blocks = read_units(paths, arguments.runtime.inference_batch_size, device, arguments.threads)
        return corrupted(blocks, arguments.corruption, arguments.units, counts) if arguments.corruption else blocks

    unit = np.repeat(np.arange(len(paths)), counts)
    features = embedded(encoder, images(), settings, device=device, total=len(unit))
    mirrored = (block.flip(3) for block in images())
    with_mirrored = (settings.flips and not arguments.corruption) or arguments.last_blocks
    flipped = embedded(encoder, mirrored, settings, device=device, total=len(unit)) if with_mirrored else None
    write_embeddings(
        arguments.output,
        features,
        unit=unit,
        units=arguments.units,
        keys=np.concatenate(keys),
        attributes=attributes,
        flipped=flipped,
    )


def corrupted(
    blocks: Iterable[torch.Tensor], corruption: str, units: Sequence[str], counts: Sequence[int]
) -> Iterator[torch.Tensor]:
    """Blocks of images, each image corrupted with a seed from its unit and position."""
    kind, _, severity = corruption.rpartition("-")
    seeds = [zlib.crc32(f"{unit}/{row}".encode()) for unit, count in zip(units, counts) for row in range(count)]
    done = 0
    for block in blocks:
        yield corrupt(block, kind, int(severity), seeds[done : done + len(block)])
        done += len(block)


def embedded(
    encoder: nn.Module, images: Iterable[torch.Tensor], settings: Embedding, *, device: torch.device, total: int
) -> Iterator[np.ndarray]:
    """float32 (n, D) for each block of images, after an empty block that gives D even if there are no images."""
    nothing = torch.zeros(1, 3, PIXELS_PX, PIXELS_PX, dtype=torch.uint8, device=device)
    yield embed(encoder, nothing, settings)[:0]
    for block in progress(images, total, "images", size=len):
        yield from in_parts(encoder, block, settings)


if __name__ == "__main__":
    parser = command.parser(__doc__, seed=True, gpus=True)
    parser.add_argument("--runtime", type=Runtime.model_validate_json, default=Runtime())
    parser.add_argument("--images", type=Path, required=True, help="folder of the image stores")
    parser.add_argument("--units", nargs="+", required=True)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--encoder", type=Path, help="folder of a trained encoder")
    which.add_argument(
        "--random", type=Pretraining.model_validate_json, help="settings of an untrained encoder, as JSON"
    )
    which.add_argument("--pixels", action="store_true", help="raw pixels")
    parser.add_argument("--corruption", help="corrupt the images first: kind and severity, such as blur-3")
    parser.add_argument(
        "--last-blocks",
        type=int,
        help="write the class tokens of this many last blocks instead of the embedding, also for the mirrored images",
    )
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser.parse_args())
