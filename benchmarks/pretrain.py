"""Throughput of pre-training, beside other libraries and the original recipe, in one run. See README.md."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from images import make_images
from side_by_side import Round, Subject, SubjectEnded, left_out, median, report, take_turns, use_cores

from gensis.settings.base import laid_over
from gensis.settings.pretraining import Pretraining
from gensis.ssl.auto import resolve, view_recipes
from gensis.ssl.backbone import create_backbone, save_encoder
from gensis.ssl.preprocessing import Preprocessing

CORES = 2
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@dataclass(frozen=True)
class Case:
    """One benchmark case."""

    work: str
    """Prefix of the scripts of its subjects."""
    peers: tuple[str, ...]
    source: str
    source_px: int
    images: int
    batch: int
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of the pre-training; peers get the values that they need."""
    steps: int = 0
    """Training steps in a repeat; 0: a repeat is one pass over all images."""


TWO_VIEWS = {"local_crops": 0, "global_scale": (0.14, 1.0), "blur": (0.0, 0.0, 0.0)}
VIT = {
    "backbone": "vit_tiny_patch16_224",
    "backbone_args": {"patch_size": 4, "embed_dim": 128, "depth": 4, "num_heads": 4},
    "image_px": 32,
    "dino": {
        "prototypes": 1024,
        "head_hidden_dim": 512,
        "head_bottleneck_dim": 128,
        "head_batch_norm": False,
        "teacher_temperature": 0.04,
        "teacher_momentum": 0.996,
    },
    "epochs": 100,
}
MULTI_CROP = {"local_crops": 8, "local_px": 16, "global_scale": (0.4, 1.0), "blur": (0.0, 0.0, 0.0)}
RESNET = {"backbone": "resnet18_cifar", "image_px": 32, "dino": {"prototypes": 2048}, "drop_path": 0.0}
TINY = {"backbone": "vit_tiny_patch16_224"}
CASES = {
    "views-224": Case("views", ("pil",), "slides", 256, 192, 64, {"preset": "paper"}),
    "views-32": Case("views", ("pil", "kornia"), "cifar10", 32, 4096, 512, {"image_px": 32, "views": TWO_VIEWS}),
    "step-vit-32": Case("step", ("lightly",), "cifar10", 32, 2048, 64, VIT | {"views": TWO_VIEWS}, steps=6),
    "step-multicrop-32": Case("step", ("lightly",), "cifar10", 32, 2048, 64, VIT | {"views": MULTI_CROP}, steps=4),
    "step-paper": Case("step", ("original",), "slides", 256, 512, 128, {"preset": "paper"}, steps=48),
    "step-resnet18-32": Case("step", (), "cifar10", 32, 50_000, 512, RESNET | {"views": TWO_VIEWS}, steps=100),
    "loader": Case("loader", ("hdf5-torchvision",), "imagenette96", 96, 8192, 256),
    "embed": Case("embed", ("timm",), "slides", 96, 2048, 256, TINY | {"image_px": 96}),
    "embed-224": Case("embed", ("timm",), "slides", 256, 192, 64, TINY | {"image_px": 224}),
}
TOY = {"dino": {"prototypes": 64, "head_hidden_dim": 64}}
"""Settings with which a training step takes hardly any time."""
TOY_VIT = {"backbone_args": {"depth": 1, "embed_dim": 48, "num_heads": 3}}
TOY_RESNET = {"backbone_args": {"channels": (8, 8, 8, 8)}}
LARGEST_WORKERS = 16
PROCESSES = {"pil": CORES}
"""Number of processes of the single-threaded subjects; other subjects are one process with that number of threads."""


def main(arguments: argparse.Namespace) -> None:
    """Print a JSON line per subject, then the ratios."""
    if arguments.device == "cpu":
        use_cores(CORES)
    case = CASES[arguments.case]
    if arguments.toy:
        settings = TOY | (TOY_RESNET if "resnet" in case.settings.get("backbone", "") else TOY_VIT)
        case = replace(case, images=32, batch=8, steps=2, settings=laid_over(case.settings, settings))
    with tempfile.TemporaryDirectory(prefix="pretrain-") as name:
        folder = Path(name)
        index = make_images(case.source, case.source_px, arguments.images or case.images, folder / "images")
        peers = () if arguments.alone else case.peers
        subjects = start(case.work, peers, order(case, index, folder, arguments), arguments.peers, folder)
        rounds = take_turns(subjects, arguments.repeats)
    variant = {name: getattr(arguments, name) for name in ("device", "precision", "compile", "tensors")}
    report(
        arguments.case,
        rounds,
        "images/s",
        {name: further(rounds, name) | (variant if case.work == "step" else {}) for name in rounds[0]},
    )


def order(case: Case, index: Path, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Work order for all subjects of a case."""
    common = {"dataset": "none", "batch_size": case.batch, "precision": arguments.precision}
    settings = Pretraining.model_validate(case.settings | common)
    patch_px = settings.backbone_args.get("patch_size", 16)
    views = resolve(settings, case.images, patch_px, {}).settings.views
    first, second, local = view_recipes(views, settings.image_px)
    recipes = [first, second, *[local] * settings.views.local_crops]
    if case.work == "embed":
        backbone, of_backbone = create_backbone(settings.backbone, settings.image_px, settings.backbone_args)
        preprocessing = Preprocessing((settings.image_px,) * 2, *map(tuple, IMAGENET.values()))
        save_encoder(
            backbone, folder / "encoder", name=settings.backbone, arguments=of_backbone, preprocessing=preprocessing
        )
    cores = len(os.sched_getaffinity(0))
    return IMAGENET | {
        "index": str(index),
        "encoder": str(folder / "encoder"),
        "batch": case.batch,
        "steps": case.steps,
        "device": arguments.device,
        "compile": arguments.compile,
        "tensors": arguments.tensors,
        "cores": cores,
        "workers": min(cores, LARGEST_WORKERS),
        "settings": settings.model_dump(mode="json"),
        "recipes": [asdict(recipe) for recipe in recipes],
    }


def start(
    work: str, case_peers: Sequence[str], order: dict[str, Any], peers: str | None, folder: Path
) -> dict[str, Subject]:
    """Start all subjects. A subject that cannot run here is left out, with the reason on stderr."""
    subjects = {}
    for name in ("gensis", *case_peers):
        processes = PROCESSES.get(name, 1)
        own = {"processes": processes, "threads": order["cores"] // processes}
        orders = [order | own | {"number": number} for number in range(processes)]
        python = sys.executable if name == "gensis" else peers or sys.executable
        script = f"{work}_with_{name.replace('-', '_')}"
        try:
            subjects[name] = Subject(script, python, orders, own["threads"], folder / name)
        except SubjectEnded as reason:
            left_out(name, reason)
    return subjects


def further(rounds: list[Round], name: str) -> dict[str, float]:
    """Further fields of a subject's line."""
    milliseconds = 1000 * median(rounds, name, "cpu_seconds") / rounds[0][name]["n"]
    return {"cpu_ms_per_image": round(milliseconds, 3), "peak_mb": round(max(one[name]["peak_mb"] for one in rounds))}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, required=True)
    parser.add_argument("--peers", help="Python of the environment that holds kornia and lightly")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", type=int, help="number of images, instead of the case's")
    parser.add_argument("--alone", action="store_true", help="no peers")
    parser.add_argument("--toy", action="store_true", help="toy size, to check that the benchmark runs")
    step = parser.add_argument_group("training steps")
    step.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    step.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    step.add_argument("--compile", action="store_true", help="compile our networks")
    step.add_argument("--tensors", action="store_true", help="one batch of views for all steps, made beforehand")
    main(parser.parse_args())
