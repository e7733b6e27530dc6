"""Evaluate an encoder on a published benchmark, whose images are read from the folder that its authors distribute."""

import argparse
import logging
from importlib import import_module
from pathlib import Path

from pydantic import TypeAdapter
from threadpoolctl import threadpool_limits

from gensis import command
from gensis.artifacts.files import content_id, write_json
from gensis.artifacts.provenance import external_weights_of, provenance
from gensis.evaluation.benchmark import BenchmarkData
from gensis.settings.benchmarks import Benchmark
from gensis.settings.pretraining import Pretraining
from gensis.settings.tasks import find_task
from gensis.ssl.any_size import AnySize
from gensis.ssl.backbone import load_encoder
from gensis.ssl.untrained import untrained_encoder
from gensis.training.device import choose_device, device_name

FORMAT = "gensis-evaluation/1"
log = logging.getLogger("evaluate_benchmark")


def main(arguments: argparse.Namespace) -> None:
    """Write the JSON of the task."""
    device = choose_device(arguments.gpus, arguments.threads)
    resamples = arguments.config.pop("bootstrap")
    settings = TypeAdapter(Benchmark).validate_python(arguments.config)
    inputs, external = {"benchmark": content_id(*files_of(settings))}, {}
    if arguments.encoder:
        inputs["encoder"] = content_id(arguments.encoder / "model.safetensors")
        external = external_weights_of(arguments.encoder)
        encoder = load_encoder(arguments.encoder)
    else:
        encoder = untrained_encoder(arguments.random, arguments.seed)
    encode = AnySize(encoder).to(device).eval()
    data = BenchmarkData(settings=settings, encode=encode, device=device)
    with threadpool_limits(arguments.threads):
        result = import_module(find_task(settings.task).module).measure(data).result(resamples)
    for metric in result["metrics"]:
        log.info(
            "%s: %s %.3f, without an encoder %.3f", settings.task, *(metric[k] for k in ("metric", "value", "chance"))
        )
    record = provenance(
        FORMAT,
        settings=arguments.config | {"bootstrap": resamples},
        inputs=inputs,
        seed=arguments.seed,
        device=device_name(device),
        started=arguments.started,
        external_weights=external,
    )
    subject = {"encoder": arguments.name, "dataset": arguments.benchmark, "seed": arguments.seed, "task": settings.task}
    write_json(arguments.output, {"format": FORMAT, **subject, **result, "provenance": record})


def files_of(settings: Benchmark) -> list[Path]:
    """All files of the benchmark's folders."""
    paths = [Path(path) for path in settings.needed]
    below = [sorted(path.rglob("*")) if path.is_dir() else [path] for path in paths]
    return [path for found in below for path in found if path.is_file()]


if __name__ == "__main__":
    parser = command.parser(__doc__, seed=True, gpus=True)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--encoder", type=Path, help="folder of a trained encoder")
    which.add_argument(
        "--random", type=Pretraining.model_validate_json, help="settings of an untrained encoder, as JSON"
    )
    parser.add_argument("--name", required=True, help="name of the encoder")
    parser.add_argument("--benchmark", required=True, help="name of the benchmark")
    parser.add_argument("--output", type=Path, required=True, help="the JSON file")
    command.run(main, parser.parse_args())
