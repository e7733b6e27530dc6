"""The works of a study: jobs, images, forward passes and bytes of each stage. Imports no torch."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from gensis.planning import cases, memory
from gensis.planning.evaluation_works import (
    embedding_case,
    embedding_gflop,
    embedding_work,
    embedding_works,
    evaluation_works,
)
from gensis.planning.images import ImageSet
from gensis.planning.networks import VIT_S16_GFLOP, backbone_cost, unet_cost, width_of
from gensis.planning.work import Work
from gensis.settings.compute import FORWARD_AND_BACKWARD
from gensis.settings.study import Study

LOSSLESS_PX = 64
HEADER_BYTES = 150
"""Of a generated image, beside its pixels: header, position, source, seed."""
PNG_BYTES, JPEG_BYTES = 2.1, 0.8
"""Of a pixel of a generated image: PNG up to `LOSSLESS_PX`, JPEG of quality 95 above."""
FURTHER_COPIES = 2
"""Further copies of a shard on disk while it is generated: the blocks from which it resumes, and a temporary file."""
CONDITIONS, MOST_HELD_OUT = 64, 256
"""Sources whose two further images, and held-out images of which one, the evaluation of a bank generates."""
FEATURES_OF_BANK_IMAGES = 12
"""Sets of images, as many as sources, that the evaluation of a bank embeds with two networks: six."""


def works(study: Study, sets: Mapping[str, ImageSet], gpus: int = 0) -> list[Work]:
    """All works of a study, in the order of the pipeline.

    Args:
        study: the study.
        sets: the images of each data set that it uses.
        gpus: GPUs of a training; 0 on a CPU.
    """
    found = [*_images(study, sets)]
    if study.pretraining:
        train = sets[study.pretraining.dataset]
        baseline, *arms = study.trained_encoders
        found += [
            _training(study, baseline, train, gpus),
            *_autoencoder(study, train, gpus),
            *_diffusion(study, train, gpus),
            *(work for name in study.banks for work in _bank(study, name, train=train, gpus=gpus)),
            *(_training(study, name, train, gpus) for name in arms),
        ]
    return [*found, *embedding_works(study, sets, gpus), *evaluation_works(study, sets, gpus)]


def _images(study: Study, sets: Mapping[str, ImageSet]) -> Iterator[Work]:
    for name in study.used_datasets:
        dataset, images = study.datasets[name], sets[name]
        is_slides = dataset.kind == "slides"
        yield Work(
            stage=f"tiling {name}" if is_slides else f"import {name}",
            subject=name,
            kind="tile slides" if is_slides else "import images",
            case=cases.tiling_case(dataset) if is_slides else cases.import_case(dataset),
            jobs=images.units,
            images=images.images,
            units=images.images,
            disk_bytes=images.images * images.bytes_per_image,
            memory_bytes=memory.tiling_bytes(2),
            seeds=1,
        )


def _training(study: Study, encoder: str, train: ImageSet, gpus: int) -> Work:
    settings = study.training_settings(encoder)
    batch = min(settings.batch_size, train.train)
    images = settings.epochs * (train.train // max(batch, 1)) * batch
    stage = "pre-training" if encoder == study.baseline else "retraining"
    return Work(
        stage=f"{stage} {encoder}",
        subject=encoder,
        kind="train encoder",
        case=cases.encoder_case(settings),
        images=images,
        units=images * study.passes(encoder),
        gflop=VIT_S16_GFLOP * backbone_cost(settings.backbone, settings.backbone_args, settings.image_px),
        batch_size=batch,
        saved=1,
        memory_bytes=memory.training_bytes(study, encoder, train.train, image_px=train.image_px, gpus=gpus),
        seeds=len(study.seeds),
    )


def _autoencoder(study: Study, train: ImageSet, gpus: int) -> Iterator[Work]:
    settings = study.autoencoder_training
    if study.autoencoder_mode == "train" and any(bank.is_generated for bank in study.banks.values()):
        images = settings.steps * min(settings.batch_size, train.train)
        yield Work(
            stage="autoencoder",
            subject="autoencoder",
            kind="train autoencoder",
            case=cases.autoencoder_case(study),
            gflop=VIT_S16_GFLOP * unet_cost(settings.channels, settings.layers_per_block, study.autoencoder_px),
            batch_size=settings.batch_size,
            images=images,
            units=images * FORWARD_AND_BACKWARD,
            saved=1,
            memory_bytes=memory.autoencoder_bytes(study, image_px=train.image_px, gpus=gpus),
            seeds=len(study.seeds),
        )


def _diffusion(study: Study, train: ImageSet, gpus: int) -> Iterator[Work]:
    settings = study.diffusion
    images = settings.steps * min(settings.batch_size, train.train)
    for encoder in dict.fromkeys(bank.encoder for bank in study.banks.values() if bank.is_generated):
        banks = [name for name, bank in study.banks.items() if bank.is_generated and bank.encoder == encoder]
        width = width_of(study, encoder)
        yield Work(
            stage=f"diffusion model of {encoder}",
            subject=encoder,
            kind="train diffusion",
            case=cases.diffusion_case(study),
            gflop=_denoiser_gflop(study),
            batch_size=settings.batch_size,
            images=images,
            units=images * FORWARD_AND_BACKWARD,
            saved=1,
            memory_bytes=memory.diffusion_bytes(study, train.train, width=width, image_px=train.image_px, gpus=gpus),
            seeds=len({seed for name in banks for seed in study.bank_seeds(name)}),
        )


def _bank(study: Study, name: str, *, train: ImageSet, gpus: int) -> Iterator[Work]:
    bank, px, seeds = study.banks[name], study.diffusion_px, len(study.bank_seeds(name))
    images = train.train * bank.images_per_source
    memory_bytes = memory.bank_bytes(study, bank, train.train, image_px=max(train.image_px, px), gpus=gpus)
    common = {"jobs": bank.shards, "images": images, "memory_bytes": memory_bytes, "seeds": seeds}
    if bank.is_generated:
        disk_bytes = images * (HEADER_BYTES + px**2 * (PNG_BYTES if px <= LOSSLESS_PX else JPEG_BYTES))
        yield Work(
            stage=f"bank {name}",
            subject=name,
            kind="generate bank",
            case=cases.generation_case(study, bank),
            gflop=_denoiser_gflop(study),
            units=images * bank.evaluations(),
            batch_size=study.runtime.inference_batch_size,
            disk_bytes=disk_bytes,
            temporary_bytes=FURTHER_COPIES * disk_bytes / bank.shards,
            **common,
        )
    else:
        yield Work(
            stage=f"bank {name}",
            subject=name,
            kind="import images",
            case="as they are",
            units=images,
            disk_bytes=images * train.bytes_per_image,
            **common,
        )
    if bank.filter:
        embedding = embedding_work(study, f"bank {name}", bank.encoder, images=images, jobs=bank.shards, gpus=gpus)
        # The images of the bank; a filter stores numbers.
        yield replace(embedding, images=0, disk_bytes=0, seeds=seeds)
    yield from _bank_evaluation(study, name, train=train, gpus=gpus)


def _bank_evaluation(study: Study, name: str, *, train: ImageSet, gpus: int) -> Iterator[Work]:
    """Embeddings of images of the bank and of real ones and, to measure the model, images that are generated anew."""
    bank = study.banks[name]
    sources = min(study.evaluation.bank_images, train.train // 2)
    common = {
        "stage": f"evaluation of bank {name}",
        "batch_size": study.runtime.inference_batch_size,
        "memory_bytes": memory.bank_evaluation_bytes(train.train, width_of(study, bank.encoder), gpus),
        "seeds": len(study.bank_seeds(name)),
    }
    yield Work(
        subject=bank.encoder,
        kind="embed images",
        case=embedding_case(study, bank.encoder),
        gflop=embedding_gflop(study, bank.encoder),
        images=FEATURES_OF_BANK_IMAGES * sources,
        units=FEATURES_OF_BANK_IMAGES * sources,
        **common,
    )
    if bank.is_generated:
        images = 2 * min(CONDITIONS, sources) + min(MOST_HELD_OUT, train.test)
        yield Work(
            subject=name,
            kind="generate bank",
            case=cases.generation_case(study, bank),
            gflop=_denoiser_gflop(study),
            jobs=0,
            images=images,
            units=images * bank.evaluations(),
            **common,
        )


def _denoiser_gflop(study: Study) -> float:
    settings = study.diffusion
    cost = unet_cost(settings.channels, settings.layers_per_block, memory.denoiser_side(study))
    return VIT_S16_GFLOP * cost
