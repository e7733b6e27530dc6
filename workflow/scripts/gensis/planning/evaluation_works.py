"""The works of embeddings and of the evaluation of encoders. Imports no torch."""

import math
from collections.abc import Iterator, Mapping, Sequence

from gensis.planning import cases, memory
from gensis.planning.images import ImageSet
from gensis.planning.networks import VIT_S16_GFLOP, cost_of, width_of
from gensis.planning.work import Work
from gensis.settings.study import Study

ALL_PAIRS = ("knn", "retrieval")
"""Tasks that compare every tested image with every other; slides are too few to matter."""


def embedding_works(study: Study, sets: Mapping[str, ImageSet], gpus: int) -> Iterator[Work]:
    """All images by every encoder and baseline, and what tasks need besides."""
    settings = study.evaluation
    for encoder in _encoders(study):
        for name in study.used_datasets:
            images = sets[name]
            parts = math.ceil(images.units / study.embedding.units_per_part) + (images.test > 0)  # of one split each
            times = 2 if study.embeds_flips(encoder) else 1
            if name in settings.datasets:
                times += len(settings.corruption_names) * (images.test or images.train) / max(images.images, 1)
                times += 2 * ("last_blocks" in settings.further_inputs)
            yield embedding_work(study, "embeddings", encoder, images=times * images.images, jobs=parts, gpus=gpus)


def _encoders(study: Study) -> list[str]:
    return [*study.trained_encoders, *study.encoders, *study.untrained]


def embedding_work(study: Study, stage: str, encoder: str, *, images: float, jobs: int, gpus: int) -> Work:
    """The embedding of images by an encoder of the study or a baseline."""
    image_px = study.pretraining.image_px if study.pretraining else 224
    return Work(
        stage=stage,
        subject=encoder,
        kind="embed images",
        case=embedding_case(study, encoder),
        gflop=embedding_gflop(study, encoder),
        batch_size=study.runtime.inference_batch_size,
        jobs=jobs,
        images=images,
        units=0 if encoder == "pixels" else images,
        disk_bytes=memory.embeddings_bytes(1, width_of(study, encoder)) * images,
        memory_bytes=memory.embedding_bytes(study, encoder, image_px=image_px, gpus=gpus),
        seeds=len(study.stored_seeds(encoder)),
    )


def evaluation_works(study: Study, sets: Mapping[str, ImageSet], gpus: int) -> Iterator[Work]:
    """The tasks of every encoder and baseline on each data set, and with classifiers of another; one job measures all
    tasks."""
    settings = study.evaluation
    for name in settings.datasets:
        images, tasks = sets[name], _tasks(study, name, settings.image_tasks, settings.slide_tasks)
        if not images.train:
            continue  # nothing is fitted: it is only tested by a transfer
        pairs = images.train * (images.test or images.train)
        for encoder in _encoders(study):
            yield from _task_works(study, encoder, tasks, dataset=name, images=images.images, pairs=pairs, gpus=gpus)
    for transfer in settings.transfer:
        for name, result in transfer.results.items():
            tasks = _tasks(study, name, settings.transfer_tasks, settings.slide_transfer_tasks)
            train, test = sets[transfer.fit].train, sets[name].test or sets[name].train
            counts = {"images": train + test, "pairs": train * test}
            for encoder in _encoders(study):
                yield from _task_works(study, encoder, tasks, dataset=result, **counts, gpus=gpus)


def _tasks(study: Study, dataset: str, of_images: Sequence[str], of_slides: Sequence[str]) -> list[str]:
    return [*of_images, *(of_slides if study.datasets[dataset].kind == "slides" else ())]


def _task_works(
    study: Study, encoder: str, tasks: Sequence[str], *, dataset: str, images: int, pairs: int, gpus: int
) -> Iterator[Work]:
    """The tasks of one job. ``pairs``: of an image to test and another one."""
    width = width_of(study, encoder)
    for number, task in enumerate(tasks):
        yield Work(
            stage="evaluation",
            subject=task,
            kind="evaluate",
            case=cases.evaluation_case(task, width),
            dataset=dataset,
            width=width,
            jobs=int(number == 0),
            units=pairs if task in ALL_PAIRS else images,
            memory_bytes=memory.evaluation_bytes(images, width, gpus, with_last_blocks="linear-sgd" in tasks),
            seeds=len(study.seeds),
        )


def embedding_case(study: Study, encoder: str) -> str:
    """What the time of an embedding depends on."""
    if encoder in study.encoders or encoder == "pixels":
        return f"encoder {encoder}"
    settings = study.pretraining if encoder == "random" else study.training_settings(encoder)
    return cases.embedding_case(settings, study.embedding.precision)


def embedding_gflop(study: Study, encoder: str) -> float:
    """Arithmetic of an embedding."""
    return VIT_S16_GFLOP * cost_of(study, encoder)
