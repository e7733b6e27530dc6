"""The works of a study: jobs, images, forward passes and bytes of each stage. Imports no torch."""

import math
from collections.abc import Iterator, Mapping

from gensis.planning import cases, memory
from gensis.planning.images import ImageSet
from gensis.planning.networks import PIXELS_WIDTH, VIT_S16_GFLOP, backbone_cost, embedding_width, unet_cost
from gensis.planning.work import Work
from gensis.settings.bank import Bank
from gensis.settings.compute import BACKWARD
from gensis.settings.study import Study
from gensis.settings.tasks import find_task

TRAINED = 1 + BACKWARD
"""Forward passes that a forward and a backward pass cost."""
LOSSLESS_PX = 64
PNG_BYTES, JPEG_BYTES = 2.1, 0.8
"""Of a pixel of a generated image: PNG up to `LOSSLESS_PX`, JPEG of quality 95 above."""
ALL_PAIRS = ("knn", "retrieval", "slides-retrieval")
"""Tasks that compare every tested item with every other."""
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
    return [*found, *_embeddings(study, sets, gpus), *_evaluation(study, sets, gpus)]


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
            units=images * TRAINED,
            saved=1,
            memory_bytes=memory.autoencoder_bytes(study, image_px=train.image_px, gpus=gpus),
            seeds=len(study.seeds),
        )


def _diffusion(study: Study, train: ImageSet, gpus: int) -> Iterator[Work]:
    settings = study.diffusion
    images = settings.steps * min(settings.batch_size, train.train)
    for encoder in dict.fromkeys(bank.encoder for bank in study.banks.values() if bank.is_generated):
        banks = [name for name, bank in study.banks.items() if bank.is_generated and bank.encoder == encoder]
        width = _width(study, encoder)
        yield Work(
            stage=f"diffusion model of {encoder}",
            subject=encoder,
            kind="train diffusion",
            case=cases.diffusion_case(study),
            gflop=_denoiser_gflop(study),
            batch_size=settings.batch_size,
            images=images,
            units=images * TRAINED,
            saved=1,
            memory_bytes=memory.diffusion_bytes(study, train.train, width=width, image_px=train.image_px, gpus=gpus),
            seeds=len({seed for name in banks for seed in study.bank_seeds(name)}),
        )


def _bank(study: Study, name: str, *, train: ImageSet, gpus: int) -> Iterator[Work]:
    bank, px, seeds = study.banks[name], study.diffusion_px, len(study.bank_seeds(name))
    images = train.train * bank.images_per_source
    common = {"jobs": bank.shards, "images": images, "seeds": seeds}
    if bank.is_generated:
        yield Work(
            stage=f"bank {name}",
            subject=name,
            kind="generate bank",
            case=cases.generation_case(study, bank),
            gflop=_denoiser_gflop(study),
            units=images * bank.evaluations(),
            batch_size=study.runtime.inference_batch_size,
            disk_bytes=images * px**2 * (PNG_BYTES if px <= LOSSLESS_PX else JPEG_BYTES),
            memory_bytes=memory.inference_bytes(study, image_px=px, gpus=gpus),
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
            memory_bytes=memory.LIBRARIES + memory.embeddings_bytes(train.train, _width(study, bank.encoder)),
            **common,
        )
    if bank.filter:
        yield _embedding(study, f"bank {name}", bank.encoder, images=images, jobs=bank.shards, gpus=gpus)
    yield _bank_evaluation(study, name, bank, train=train, gpus=gpus)


def _bank_evaluation(study: Study, name: str, bank: Bank, *, train: ImageSet, gpus: int) -> Work:
    sources = min(study.evaluation.bank_images, train.train // 2)
    images = FEATURES_OF_BANK_IMAGES * sources
    return Work(
        stage=f"evaluation of bank {name}",
        subject=bank.encoder,
        kind="embed images",
        case=_embedding_case(study, bank.encoder),
        gflop=_embedding_gflop(study, bank.encoder),
        batch_size=study.runtime.inference_batch_size,
        images=images,
        units=images,
        memory_bytes=memory.evaluation_bytes(min(train.train, 100_000), _width(study, bank.encoder), gpus),
        seeds=len(study.bank_seeds(name)),
    )


def _embeddings(study: Study, sets: Mapping[str, ImageSet], gpus: int) -> Iterator[Work]:
    """All images by every encoder and baseline, and what tasks need besides."""
    settings = study.evaluation
    for encoder in _encoders(study):
        for name in study.used_datasets:
            images = sets[name]
            parts = math.ceil(images.units / study.embedding.units_per_part)
            flips = study.embedding.flips or (study.diffusion.flips and study.conditions_diffusion(encoder))
            times = 2 if flips else 1
            if name in settings.datasets:
                times += len(settings.corruption_names) * (images.test or images.train) / max(images.images, 1)
                times += 2 * ("last_blocks" in settings.further_inputs)
            yield _embedding(study, "embeddings", encoder, images=times * images.images, jobs=parts, gpus=gpus)


def _encoders(study: Study) -> list[str]:
    baselines = ["random", "pixels"] if study.pretraining else ["pixels"]
    return [*study.trained_encoders, *study.encoders, *baselines]


def _embedding(study: Study, stage: str, encoder: str, *, images: float, jobs: int, gpus: int) -> Work:
    image_px = study.pretraining.image_px if study.pretraining else 224
    return Work(
        stage=stage,
        subject=encoder,
        kind="embed images",
        case=_embedding_case(study, encoder),
        gflop=_embedding_gflop(study, encoder),
        batch_size=study.runtime.inference_batch_size,
        jobs=jobs,
        images=images,
        units=0 if encoder == "pixels" else images,
        disk_bytes=memory.embeddings_bytes(1, _width(study, encoder)) * images,
        memory_bytes=memory.inference_bytes(study, image_px=image_px, gpus=gpus),
        seeds=len(study.seeds),
    )


def _evaluation(study: Study, sets: Mapping[str, ImageSet], gpus: int) -> Iterator[Work]:
    settings = study.evaluation
    for name in settings.datasets:
        images = sets[name]
        slide_tasks = settings.slide_tasks if study.datasets[name].kind == "slides" else ()
        for encoder in _encoders(study):
            width = _width(study, encoder)
            for number, task in enumerate((*settings.image_tasks, *slide_tasks)):
                yield Work(
                    stage="evaluation",
                    subject=task,
                    kind="evaluate",
                    case=cases.evaluation_case(task, width),
                    dataset=name,
                    width=width,
                    jobs=int(number == 0),
                    units=_items(task, images),
                    memory_bytes=memory.evaluation_bytes(images.images, width, gpus),
                    seeds=len(study.seeds),
                )


def _items(task: str, images: ImageSet) -> float:
    """Units of an evaluation task: pairs of an image to test and another one, or images of slides or alone."""
    if task in ALL_PAIRS and find_task(task).level == "image":
        return (images.test or images.train) * images.train
    return images.images


def _width(study: Study, encoder: str | None) -> int:
    """Dimension of an encoder's embeddings; of an external one, that of the largest usual encoders."""
    if encoder == "pixels":
        return PIXELS_WIDTH
    if encoder in study.encoders:
        return embedding_width(study.encoders[encoder].timm or "", {})
    settings = study.pretraining if encoder == "random" else study.training_settings(encoder)
    return embedding_width(settings.backbone, settings.backbone_args)


def _embedding_case(study: Study, encoder: str) -> str:
    if encoder in study.encoders or encoder == "pixels":
        return f"encoder {encoder}"
    settings = study.pretraining if encoder == "random" else study.training_settings(encoder)
    return cases.embedding_case(settings, study.embedding.precision)


def _embedding_gflop(study: Study, encoder: str) -> float:
    """Arithmetic of an embedding; an external encoder is judged by its name, at the size of an image of ImageNet."""
    if encoder == "pixels":
        return 0.0
    if encoder in study.encoders:
        return VIT_S16_GFLOP * backbone_cost(study.encoders[encoder].timm or "", {}, 224)
    settings = study.pretraining if encoder == "random" else study.training_settings(encoder)
    return VIT_S16_GFLOP * backbone_cost(settings.backbone, settings.backbone_args, settings.image_px)


def _denoiser_gflop(study: Study) -> float:
    settings = study.diffusion
    cost = unet_cost(settings.channels, settings.layers_per_block, memory.denoiser_side(study))
    return VIT_S16_GFLOP * cost
