"""Throughput of bank generation, beside a plain loop with diffusers, in one run. See README.md."""

import argparse
import os
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from images import make_images
from side_by_side import Subject, median, ready, report, take_turns, use_cores

from gensis.artifacts.files import write_json
from gensis.diffusion.denoiser import create_denoiser
from gensis.diffusion.objective import make_scheduler
from gensis.diffusion.pipeline import GenSISPipeline
from gensis.images.embeddings import write_embeddings
from gensis.images.index import read_index
from gensis.settings.diffusion import Diffusion

CORES = 2
SUBJECTS = ("gensis", "diffusers")
EMBEDDING_WIDTH = 384
STEPS, GUIDANCE = 10, 1.5


@dataclass(frozen=True)
class Case:
    """An untrained diffusion model: the time to generate images does not depend on its weights."""

    image_px: int
    channels: tuple[int, ...]
    images: int
    batch: int
    steps: int = STEPS
    guidance: float = GUIDANCE


CASES = {
    "bank-small-32": Case(32, (32, 64, 64), 128, 64),
    "bank-32": Case(32, (128, 256, 256), 1024, 512),
    "bank-64": Case(64, (128, 256, 256), 1024, 256),
}
TOY = {"channels": (8, 8), "images": 8, "batch": 4, "steps": 2}


def main(arguments: argparse.Namespace) -> None:
    """Print a JSON line per subject, then the ratio."""
    if arguments.device == "cpu":
        use_cores(CORES)
    case = CASES[arguments.case]
    case = replace(case, **TOY) if arguments.toy else replace(case, images=arguments.images or case.images)
    with tempfile.TemporaryDirectory(prefix="bank-") as name:
        folder = Path(name)
        variant = {name: getattr(arguments, name) for name in ("device", "precision", "compile")}
        order = asdict(case) | variant | make_inputs(case, folder)
        subjects = start(order, folder)
        rounds = take_turns(subjects, arguments.repeats)
    further = {}
    for name in rounds[0]:
        milliseconds = 1000 * median(rounds, name, "cpu_seconds") / rounds[0][name]["n"]
        peak = max(one[name]["peak_mb"] for one in rounds)
        further[name] = {"cpu_ms_per_image": round(milliseconds, 3), "peak_mb": round(peak), **variant}
    report(arguments.case, rounds, "images/s", further)


def make_inputs(case: Case, folder: Path) -> dict[str, str]:
    """Write training images, random embeddings and an untrained diffusion model; returns their paths."""
    train = make_images("cifar10", case.image_px, case.images, folder / "images")
    index = read_index(train)
    generator = np.random.default_rng(0)
    features = generator.normal(size=(len(index), EMBEDDING_WIDTH)).astype(np.float32)
    unit = np.repeat(np.arange(len(index.units)), np.diff(index.first_rows))
    write_embeddings(
        folder / "part-0000.h5", [features], unit=unit, units=index.units, keys=np.arange(len(index)).astype(str)
    )
    torch.manual_seed(0)
    shape = (3, case.image_px, case.image_px)
    denoiser = create_denoiser(Diffusion(channels=case.channels), shape, EMBEDDING_WIDTH)
    GenSISPipeline(denoiser, make_scheduler("flow", True)).save_pretrained(folder / "diffusion")
    write_json(
        folder / "diffusion" / "provenance.json",
        {"weights": "0" * 16, "settings": {}, "embedding_width": EMBEDDING_WIDTH},
    )
    return {"train": str(train), "embeddings": str(folder / "part-0000.h5"), "diffusion": str(folder / "diffusion")}


def start(order: dict[str, Any], folder: Path) -> dict[str, Subject]:
    """Start both subjects. A subject that cannot run here is left out, with the reason on stderr."""
    subjects = {}
    threads = len(os.sched_getaffinity(0))
    for name in SUBJECTS:
        orders = [order | {"threads": threads}]
        subjects[name] = Subject(f"bank_with_{name}", sys.executable, orders, threads, folder / name)
    return ready(subjects)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, default="bank-small-32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", type=int, help="number of images, instead of the case's")
    parser.add_argument("--toy", action="store_true", help="toy size, to check that the benchmark runs")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--compile", action="store_true", help="compile our denoiser")
    main(parser.parse_args())
