"""Filter a bank's shard: measure its images, and select those that encoders are trained on."""

import argparse
import logging
from pathlib import Path

from gensis import command
from gensis.artifacts.files import content_id
from gensis.artifacts.provenance import external_weights_of, provenance, to_attribute
from gensis.bank.generation import even_batch_size
from gensis.diffusion.pipeline import slerp
from gensis.evaluation.copying import draw_reference
from gensis.evaluation.filtering import BankFilter
from gensis.images.bank_filter import FORMAT, filter_path, write_filter
from gensis.images.features import Features
from gensis.images.index import read_index
from gensis.images.reading import StreamedImages
from gensis.images.store import Store
from gensis.settings.bank import Filter
from gensis.settings.runtime import Runtime
from gensis.ssl.backbone import load_encoder
from gensis.training.device import choose_device, device_name

log = logging.getLogger("filter_bank")


def main(arguments: argparse.Namespace) -> None:
    """Write a filter file for each store of the shard."""
    device = choose_device(arguments.gpus, arguments.threads)
    settings = Filter.model_validate(arguments.config)
    index = read_index(arguments.train)
    features = Features(index, arguments.embeddings)
    images = StreamedImages(index, device, arguments.threads)
    # The batch size must not depend on the number of shards, since it affects the last bits of the results.
    batch_size = even_batch_size(len(index), arguments.runtime.inference_batch_size)
    bank_filter = BankFilter(
        images,
        features,
        reference=draw_reference(images, arguments.seed, batch_size),
        encoder=load_encoder(arguments.encoder).to(device),
        interpolate=slerp,
        batch_size=batch_size,
    )
    external = external_weights_of(arguments.encoder)
    inputs = {
        "train": content_id(arguments.train),
        "embeddings": features.content,
        "encoder": content_id(arguments.encoder / "model.safetensors"),
    }
    for path in arguments.stores:
        measured = bank_filter.measure(path, device, arguments.threads)
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
