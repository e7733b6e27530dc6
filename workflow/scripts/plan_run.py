"""Print the size of a study before it runs: images, steps, compute and generated images of every stage."""

import argparse
import sys
from pathlib import Path

from gensis import command
from gensis.artifacts.files import read_json
from gensis.images.index import read_index
from gensis.settings.bank import Bank
from gensis.settings.study import Study, load_study


def main(arguments: argparse.Namespace) -> None:
    """Print the plan."""
    study = load_study(arguments.config)
    seeds = len(study.seeds)
    lines = [f"study {study.run}: {seeds} seed(s); numbers are per seed"]
    for name in dict.fromkeys([study.pretraining.dataset, *study.evaluation.datasets]):
        lines.append(f"  images of {name}: {images_so_far(arguments.images_folder / name)}")
    index = arguments.images_folder / study.pretraining.dataset / "train.tsv"
    images = len(read_index(index)) if index.exists() else None
    if images is None:
        lines.append("  the number of training images is not known yet: run the target `images` first")
    for name in study.trained_encoders:
        lines.append(f"  encoder {name}: {training(study, name, images)}")
    if any(bank.is_generated for bank in study.banks.values()):
        lines.append(f"  diffusion: {diffusion_model(study, images)}")
    for name, bank in study.banks.items():
        lines.append(f"  bank {name}: {generation(bank, images)}")
    sys.stdout.write("\n".join(lines) + "\n")


def images_so_far(folder: Path) -> str:
    """Number of finished units and their images."""
    outcomes = [read_json(path) for path in sorted(folder.glob("*.json"))]
    total = sum(outcome["images"] for outcome in outcomes)
    empty = sum(not outcome["images"] for outcome in outcomes)
    return f"{len(outcomes)} units done, {total:,} images, {empty} units without images"


def training(study: Study, encoder: str, images: int | None) -> str:
    """Steps and compute of a pre-training."""
    settings = study.training_settings(encoder)
    views = 2 + settings.views.local_crops
    extra = " + 1 interpolated" if study.disentangles(encoder) else ""
    cost = f"{settings.epochs * study.passes(encoder):,.0f} forward passes per image"
    text = f"{settings.epochs} epochs of batches of {settings.batch_size}, {views} views per image{extra}, {cost}"
    if images is None:
        return text
    batch = min(settings.batch_size, images)
    return f"{text}: {settings.epochs * (images // batch):,} steps"


def diffusion_model(study: Study, images: int | None) -> str:
    """Steps of the diffusion model, and how often each image is seen."""
    seen = study.diffusion.steps * study.diffusion.batch_size
    where = "pixels" if study.autoencoder_mode == "none" else "latents"
    text = f"{study.diffusion.steps:,} steps at {study.diffusion_px} px in {where}, {seen:,} images seen"
    return text if images is None else f"{text}, {seen / images:,.0f} times each"


def generation(bank: Bank, images: int | None) -> str:
    """Number of images of a bank and forward passes to generate them; real images are copied."""
    if not bank.is_generated:
        return f"{bank.variants} real image(s) per source, {bank.shards} job(s)"
    each, passes = bank.images_per_source, bank.evaluations()
    text = f"{each} image(s) per source, {passes} forward passes each, {bank.shards} job(s)"
    return text if images is None else f"{text}: {each * images:,} images, {each * images * passes:,} forward passes"


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--images-folder", type=Path, required=True)
    command.run(main, parser.parse_args())
