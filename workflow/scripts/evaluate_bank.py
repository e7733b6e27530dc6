"""Measure the quality of a bank: fidelity, realism, copying, diversity and class consistency of its images."""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from gensis import command
from gensis.artifacts.files import content_id, read_json, write_json
from gensis.artifacts.provenance import external_weights_of, provenance
from gensis.artifacts.tables import read_table
from gensis.bank.generation import generate_variants
from gensis.diffusion.loading import generate_function, load_pipeline
from gensis.diffusion.pipeline import GenSISPipeline, slerp
from gensis.evaluation.bank_features import BATCH, FeatureSpaces
from gensis.evaluation.bank_quality import Subject, bank_quality
from gensis.evaluation.bank_sample import draw_sample
from gensis.evaluation.class_consistency import classes_of
from gensis.evaluation.copying import draw_reference
from gensis.evaluation.judged_views import Judge
from gensis.evaluation.view_distance import add_view_distance
from gensis.images.bank_filter import count_filtered
from gensis.images.features import Features
from gensis.images.index import Index, index_of, read_index
from gensis.images.reading import StreamedImages
from gensis.settings.bank import Bank
from gensis.settings.evaluation import Evaluation
from gensis.settings.pretraining import Pretraining
from gensis.settings.runtime import Runtime
from gensis.ssl.auto import resolve, view_recipes
from gensis.ssl.backbone import load_encoder
from gensis.ssl.bank_images import bank_contents, open_bank
from gensis.ssl.untrained import untrained_encoder
from gensis.training.device import choose_device, device_name

FORMAT = "gensis-bank-quality/1"
KINDS = ("generative", "interpolated")


def main(arguments: argparse.Namespace) -> None:
    """Write one JSON with the metrics, and the reasons why others could not be measured."""
    device = choose_device(arguments.gpus, arguments.threads)
    index = read_index(arguments.train)
    features = Features(index, arguments.embeddings)
    subject = open_subject(arguments, index, features, device)
    quality = bank_quality(subject)
    add_view_distance(quality, subject, open_judge(arguments, index, features, subject))
    result = {"format": FORMAT, "sources": len(subject.sample.sources)} | quality.as_json()
    if arguments.filtered:
        result["filter"] = {kind: count_filtered(arguments.bank, kind, len(index)) for kind in KINDS}
    inputs = {
        "train": content_id(arguments.train),
        "embeddings": features.content,
        "encoder": content_id(arguments.encoder / "model.safetensors"),
        **({"diffusion": weights_of(arguments.diffusion)} if arguments.diffusion else {}),
        "units": content_id(arguments.units),
        **({"labels": content_id(arguments.labels)} if arguments.labels else {}),
        **bank_contents(arguments.bank, arguments.filtered),
        **contents_of_judge(arguments, index),
    }
    settings = {"bank": arguments.config, "evaluation": arguments.evaluation.model_dump(mode="json")}
    external = external_weights_of(arguments.diffusion or arguments.encoder)
    if arguments.judge:
        external |= external_weights_of(arguments.judge)
    record = provenance(
        FORMAT,
        settings=settings,
        inputs=inputs,
        seed=arguments.seed,
        device=device_name(device),
        started=arguments.started,
        external_weights=external,
    )
    write_json(arguments.output, result | {"provenance": record})


def open_subject(arguments: argparse.Namespace, index: Index, features: Features, device: torch.device) -> Subject:
    """Open what is measured and what it is measured with; ``features`` are the embeddings of the index's images."""
    threads, seed, settings = arguments.threads, arguments.seed, arguments.pretraining
    pipeline = load_pipeline(arguments.diffusion, features.shape[1], device) if arguments.diffusion else None
    encoder = load_encoder(arguments.encoder).to(device)
    streamed = partial(StreamedImages, device=device, threads=threads)  # only few images are read
    banks = {
        kind: open_bank(arguments.bank, kind, sources=len(index), open_images=streamed, filtered=arguments.filtered)
        for kind in KINDS
        if not arguments.filtered or count_filtered(arguments.bank, kind, len(index))["kept"]
    }
    sample = draw_sample(banks, len(index), arguments.evaluation.bank_images, seed)
    units = read_table(arguments.units)
    test_split = {path.stem for path in arguments.held_out}
    held_out = [line for line in units if line["unit"] in test_split and int(line["images"])]
    images = streamed(index)
    image_px = pipeline.image_px if pipeline else images.shape[1]
    return Subject(
        banks=banks,
        sample=sample,
        images=images,
        held_out=streamed(index_of(arguments.train.parent, held_out)) if held_out else None,
        features=features[sample.known].numpy(),
        spaces=FeatureSpaces(encoder, untrained_encoder(settings, seed).to(device), image_px),
        reference=draw_reference(images, seed, BATCH),
        recipe=view_recipes(resolve(settings, len(index), 1, {}).settings.views, settings.image_px)[0],
        generate=pipeline and generation(arguments, pipeline, device),
        interpolate=slerp,
        classes=partial(
            classes_of,
            index,
            sample.known,
            units=units,
            labels=arguments.labels,
            slides_are_units=arguments.slides_are_units,
        ),
        seed=seed,
        resamples=arguments.evaluation.bootstrap,
        device=device,
    )


def generation(
    arguments: argparse.Namespace, pipeline: GenSISPipeline, device: torch.device
) -> Callable[[np.ndarray, int], Iterator[torch.Tensor]]:
    """A function that generates some images for each of some conditions, with the bank's settings."""
    settings = Bank.model_validate(arguments.config)
    return partial(
        generate_variants,
        seed=arguments.seed,
        noise_shape=pipeline.noise_shape,
        generate=generate_function(pipeline, settings),
        inference_batch_size=arguments.runtime.inference_batch_size,
        device=device,
        threads=arguments.threads,
    )


def weights_of(diffusion: Path) -> str:
    """Content id of a diffusion model's weights."""
    return read_json(diffusion / "provenance.json")["weights"]


def open_judge(arguments: argparse.Namespace, index: Index, features: Features, subject: Subject) -> Judge:
    """The encoder that judges view distances: the one that is given, or else that of the bank."""
    known = Features(index, arguments.judge_embeddings) if arguments.judge else features
    encoder = load_encoder(arguments.judge or arguments.encoder).to(subject.device)
    return Judge(encoder, known[subject.sample.known].numpy())


def contents_of_judge(arguments: argparse.Namespace, index: Index) -> dict[str, str]:
    """Content ids of the encoder that judges and of its embeddings, if one is given."""
    if not arguments.judge:
        return {}
    return {
        "judge": content_id(arguments.judge / "model.safetensors"),
        "judge_embeddings": Features(index, arguments.judge_embeddings).content,
    }


if __name__ == "__main__":
    parser = command.parser(__doc__, seed=True, gpus=True)
    parser.add_argument("--runtime", type=Runtime.model_validate_json, default=Runtime())
    parser.add_argument("--pretraining", type=Pretraining.model_validate_json, required=True, help="settings, as JSON")
    parser.add_argument("--evaluation", type=Evaluation.model_validate_json, default=Evaluation())
    parser.add_argument("--train", type=Path, required=True, help="train.tsv of the data set")
    parser.add_argument("--units", type=Path, required=True, help="units.tsv of the data set")
    parser.add_argument("--labels", type=Path, help="labels.tsv of the data set, for class consistency")
    parser.add_argument("--slides-are-units", action="store_true", help="the units are slides")
    parser.add_argument("--held-out", type=Path, nargs="*", default=[], help="stores of the test split")
    parser.add_argument("--embeddings", type=Path, nargs="+", required=True, help="of the train split, all parts")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the encoder of these embeddings")
    parser.add_argument("--judge", type=Path, help="folder of the encoder that judges view distances; else --encoder")
    parser.add_argument("--judge-embeddings", type=Path, nargs="+", help="of the train split by the judge, all parts")
    parser.add_argument("--diffusion", type=Path, nargs="?", help="folder of the diffusion model, of a generated bank")
    parser.add_argument("--bank", type=Path, required=True, help="folder of the bank")
    parser.add_argument("--filtered", action="store_true", help="measure only images that the filter keeps")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    command.run(main, parser.parse_args())
