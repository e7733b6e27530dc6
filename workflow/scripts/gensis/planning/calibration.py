"""Measures the rates of this machine: a few steps of each stage of a study, at the study's own sizes."""

import logging
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from gensis.images.importing import Imported
from gensis.planning.images import ImageSet
from gensis.planning.noise import NoiseSource
from gensis.planning.rates import Rate, Rates
from gensis.planning.tiles import sample_tiles
from gensis.planning.trial_evaluation import random_embeddings, trial_of_task
from gensis.planning.trials import Bench, Trial
from gensis.planning.work import THREADS, Work
from gensis.settings.units import Units
from gensis.training.device import device_name

WITHOUT_TORCH = ("tile slides", "import images")
"""Kinds of work whose scripts start faster."""
SECONDS, LONGEST_SECONDS = 3.0, 10.0
"""A trial is repeated for so long, and a batch that would take longer is not tried."""
FEW_IMAGES, FEW_SLIDES = 8, 5
IMPORTED = 200

log = logging.getLogger(__name__)


def machine_name(device: torch.device, cores: int) -> str:
    """Name of the GPU or the processor, and the number of cores."""
    name = device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return f"{name}, {cores} CPU cores"


def calibrate(bench: Bench, works: Sequence[Work], sets: Mapping[str, ImageSet], units: Mapping[str, Units]) -> Rates:
    """The rates of all kinds and cases of some works.

    Args:
        bench: the study and the device.
        works: its works.
        sets: the images of its data sets.
        units: their units.
    """
    cases = {(work.kind, work.case): work for work in reversed(works)}
    ordered = [work for work in works if cases[work.kind, work.case] is work]
    fast, slow = start_seconds("tile_slide"), start_seconds("embed_images")
    rates = [rate for work in ordered for rate in _rates(bench, work, sets, units)]
    starts = {rate.kind: fast if rate.kind in WITHOUT_TORCH else slow for rate in rates}
    rates = [replace(rate, job_seconds=rate.job_seconds + starts[rate.kind]) for rate in rates]
    return Rates(
        machine=machine_name(bench.device, bench.threads),
        cores=bench.threads,
        has_gpu=bench.device.type == "cuda",
        rates=tuple(rates),
    )


def start_seconds(script: str) -> float:
    """Time that a script takes to start Python and load its libraries."""
    path = Path(__file__).parents[2] / f"{script}.py"
    began = time.perf_counter()
    subprocess.run([sys.executable, path, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _rates(bench: Bench, work: Work, sets: Mapping[str, ImageSet], units: Mapping[str, Units]) -> Iterator[Rate]:
    log.info("measuring: %s: %s", work.kind, work.case)
    named = {"kind": work.kind, "case": work.case}
    if work.kind == "tile slides":
        sample = sample_tiles(bench.study.datasets[work.subject], units[work.subject].units, FEW_SLIDES)
        yield Rate(
            **named, seconds=sample.seconds_per_tile / _threads(bench, work), job_seconds=sample.seconds_per_slide
        )
    elif work.kind == "import images":
        yield Rate(**named, seconds=_import_seconds(bench, work, sets))
    elif work.kind == "evaluate":
        yield Rate(**named, seconds=_evaluation_seconds(bench, work, sets, units))
    elif work.units == 0:  # raw pixels: no network runs
        yield Rate(**named, seconds=0.0)
    elif not _is_unknown(bench, work.subject):
        yield measured(bench, work)


def _is_unknown(bench: Bench, encoder: str) -> bool:
    """Whether a hub alone knows the network of an external encoder, before a download."""
    settings = bench.study.encoders.get(encoder)
    return bool(settings and not settings.path and str(settings.timm).startswith("hf-hub:"))


def _threads(bench: Bench, work: Work) -> int:
    """Threads of a job."""
    return min(THREADS[work.kind], bench.threads)


def _import_seconds(bench: Bench, work: Work, sets: Mapping[str, ImageSet]) -> float:
    """Time to check and, if the data set asks for it, resize an image that is in memory."""
    dataset = bench.study.datasets.get(work.subject)
    images = sets.get(work.subject, bench.train)
    count = max(min(images.images, IMPORTED), 1)
    source = NoiseSource(count, max(images.image_px, 1))
    began = time.perf_counter()
    for _ in Imported().images(source, range(count), dataset or next(iter(bench.study.datasets.values()))):
        pass
    return (time.perf_counter() - began) / count


def _evaluation_seconds(bench: Bench, work: Work, sets: Mapping[str, ImageSet], units: Mapping[str, Units]) -> float:
    transfers = bench.study.evaluation.transfer
    tested = {result: name for transfer in transfers for name, result in transfer.results.items()}
    name = tested.get(work.dataset, work.dataset)
    labelled = random_embeddings(sets[name], units[name], work.width)
    run, of_trial = trial_of_task(work.subject, bench.study.evaluation, labelled, bench.device)
    began = time.perf_counter()
    run()
    return (time.perf_counter() - began) / of_trial


def measured(bench: Bench, work: Work) -> Rate:
    """The rate of a work in which a network runs, of batches as large as the study's, or as large as time allows."""
    few = min(FEW_IMAGES, work.batch_size)
    trial = bench.trial(work, few)
    seconds, gpu_bytes = _timed(trial, bench.device)
    if few < work.batch_size and seconds * work.batch_size / few < LONGEST_SECONDS:
        del trial
        trial = bench.trial(work, work.batch_size)
        seconds, gpu_bytes = _timed(trial, bench.device)
    return Rate(
        kind=work.kind,
        case=work.case,
        seconds=seconds / trial.units,
        gflop=work.gflop,
        saved_bytes=sum(4 * parameter.numel() for parameter in trial.network.parameters()) if trial.network else 0,
        gpu_bytes=gpu_bytes,
    )


def _timed(trial: Trial, device: torch.device) -> tuple[float, int]:
    """Seconds of a call of a trial, and the bytes of the GPU that it takes at most."""
    on_gpu = device.type == "cuda"
    trial.run()  # starts threads, chooses algorithms
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    runs, began = 0, time.perf_counter()
    while not runs or time.perf_counter() - began < SECONDS:
        trial.run()
        runs += 1
    if on_gpu:
        torch.cuda.synchronize(device)
    seconds = (time.perf_counter() - began) / runs
    return seconds, torch.cuda.max_memory_allocated(device) if on_gpu else 0
