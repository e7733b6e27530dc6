"""Embed the images of some units with a trained encoder, a random one, or as raw pixels."""

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from gensis import command
from gensis.artifacts.files import content_id
from gensis.artifacts.provenance import provenance, to_attribute
from gensis.augment.resample import resize
from gensis.images.embeddings import Embeddings, write_embeddings
from gensis.images.reading import read_units
from gensis.images.store import Store
from gensis.settings.embedding import Embedding
from gensis.settings.pretraining import Pretraining
from gensis.settings.runtime import Runtime
from gensis.ssl.backbone import Encoder, create_backbone, load_encoder
from gensis.training.device import choose_device, device_name

log = logging.getLogger("embed_images")
PIXELS_PX = 16


class Pixels(nn.Module):
    """Raw pixels as an embedding: the image at 16 px around mid-grey, (B, 768). What any encoder must beat."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 (B, 768) of uint8 (B, 3, H, W)."""
        return (resize(images, PIXELS_PX) / 255 - 0.5).flatten(1)


def make_encoder(arguments: argparse.Namespace) -> nn.Module:
    """The encoder that the arguments name."""
    if arguments.encoder:
        return load_encoder(arguments.encoder)
    if arguments.random is None:
        return Pixels()
    torch.manual_seed(arguments.seed)
    settings = arguments.random
    backbone, _ = create_backbone(settings.backbone, settings.image_px, settings.backbone_args)
    return Encoder(backbone, settings.image_px, (0.5,) * 3, (0.25,) * 3)


def main(arguments: argparse.Namespace) -> None:
    """Write one part."""
    device = choose_device(arguments.gpus, arguments.threads)
    settings = Embedding.model_validate(arguments.config)
    encoder = make_encoder(arguments).to(device).eval()
    paths = [arguments.images / f"{unit}.h5" for unit in arguments.units]
    keys, counts, contents = [], [], {}
    for path in paths:
        with Store(path) as store:
            keys.append(store.column("coords" if "coords" in store.file else "key"))
            counts.append(len(store))
            contents[path.stem] = store.content
    # An empty first block gives the width, also where all units are empty.
    features = [encoder(torch.zeros(1, 3, PIXELS_PX, PIXELS_PX, dtype=torch.uint8, device=device))[:0].float().cpu()]
    done, since = 0, time.time()
    for images in read_units(paths, arguments.runtime.micro_batch, device, arguments.threads):
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            features.append(encoder(images).float().cpu())
        done += len(images)
        if len(features) % 50 == 0:
            command.progress(log, done, sum(counts), since, "images")
    vectors = torch.cat(features)
    vectors = F.normalize(vectors) if settings.normalize else vectors
    unit = np.repeat(np.arange(len(paths)), counts)
    inputs = contents | ({"encoder": content_id(arguments.encoder / "model.safetensors")} if arguments.encoder else {})
    record = provenance(
        "gensis-embeddings/1", arguments.config, inputs, arguments.seed, device_name(device), arguments.started
    )
    result = Embeddings(vectors.numpy(), unit, tuple(arguments.units), np.concatenate(keys))
    write_embeddings(arguments.output, result, {"provenance": to_attribute(record)})
    log.info("%d embeddings of %d dimensions", *vectors.shape)


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
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser.parse_args())
