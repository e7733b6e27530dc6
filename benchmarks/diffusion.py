"""Class consistency of diffusion models against CPU time of training, for several denoisers and objectives.

    GENSIS_DATA=... snakemake results/cifar10-arms/embeddings/dino/cifar10-16px/seed0/part-0000.h5 \\
        results/images/cifar10-16px/{units,labels}.tsv --cores 2 --configfile config/cifar10-arms.yaml
    python benchmarks/diffusion.py --run results/cifar10-arms --encoder dino --dataset cifar10-16px \\
        --output /tmp/diffusion

Each candidate trains on the same images for the same CPU time, without the time of evaluations. Each evaluation
generates images from embeddings of the train split. Class consistency is the share of generated images whose 20 nearest
real neighbours vote for the source's class, as a multiple of that of the sources themselves. Labels are not used in
training. Prints a JSON line per evaluation.
"""

import argparse
import copy
import csv
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow/scripts"))

from subjects.transformer import Transformer

from gensis.artifacts.tables import read_table
from gensis.diffusion.inputs import Inputs, Pixels
from gensis.diffusion.optimization import OptimizerStep
from gensis.diffusion.pipeline import GenSISPipeline
from gensis.diffusion.trainer import DiffusionTrainer
from gensis.evaluation.class_consistency import RealImages, class_consistency
from gensis.evaluation.fidelity import cosines
from gensis.evaluation.knn_history import labels_and_groups
from gensis.images.features import Features
from gensis.images.index import read_index
from gensis.images.reading import open_images
from gensis.settings.diffusion import Diffusion
from gensis.ssl.backbone import load_encoder
from gensis.training.distributed import World
from gensis.training.loop import step_seed

CPU = torch.device("cpu")
SHOWN = 10
EVALUATIONS = 4
UNET = {"channels": (32, 64), "layers_per_block": 1, "attention_levels": 0}
WIDER = {"channels": (64, 128), "layers_per_block": 1, "attention_levels": 0}
COMMON = {"batch_size": 64, "learning_rate": 1e-3, "warmup_steps": 200, "ema_decay": 0.999, "precision": "bfloat16"}

TOY = {"batch_size": 4, "precision": "float32"}
"""Settings with which a step takes hardly any time."""

CANDIDATES: dict[str, dict[str, Any]] = {
    "unet-flow": UNET,
    "unet-epsilon": UNET | {"objective": "epsilon"},
    "unet-wider-flow": WIDER,
    "unet-patches-flow": WIDER | {"patches": 2},
    "unet-attention-flow": UNET | {"attention_levels": 1},
    "paper-flow": UNET | {"denoiser": "cross_attention", "attention_levels": 1, "objective": "flow"},
    "paper-epsilon": UNET | {"denoiser": "cross_attention", "attention_levels": 1, "objective": "epsilon"},
    "transformer-2-flow": {"transformer": {"patch": 2, "width": 128, "depth": 6}},
    "transformer-4-flow": {"transformer": {"patch": 4, "width": 256, "depth": 6}},
}
"""Settings of the stage; `patches`: side of the squares whose pixels become channels; `transformer`: arguments of
the transformer."""


class Patches:
    """Inputs with squares of pixels rearranged as channels (pixel unshuffle): fewer positions, no value lost."""

    def __init__(self, pixels: Pixels, side: int):
        self.pixels, self.side = pixels, side
        channels, image_px, _ = pixels.shape
        self.shape = (channels * side**2, image_px // side, image_px // side)

    def __len__(self) -> int:
        return len(self.pixels)

    def prefetch(self, rows: torch.Tensor) -> None:
        """See Inputs."""
        self.pixels.prefetch(rows)

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        """See Inputs."""
        return F.pixel_unshuffle(self.pixels.batch(rows), self.side)


class PatchPipeline(GenSISPipeline):
    """A pipeline that rearranges channels as squares of pixels again (pixel shuffle), for candidates with patches."""

    def _decode(self, sample: torch.Tensor) -> torch.Tensor:
        return F.pixel_shuffle(sample, round((sample.shape[1] / 3) ** 0.5))


class SourceEvaluation:
    """Evaluates generated images; holds the sources, the encoder, all real embeddings and the labels."""

    def __init__(self, arguments: argparse.Namespace):
        folder = arguments.run.parent / "images" / arguments.dataset
        self.index = read_index(folder / "train.tsv")
        parts = sorted(
            (arguments.run / "embeddings" / arguments.encoder / arguments.dataset / "seed0").glob("part-*.h5")
        )
        self.embeddings = Features(self.index, parts)
        self.features = self.embeddings[np.arange(len(self.index))].numpy()
        self.encoder = load_encoder(arguments.run / "encoders" / arguments.encoder / "seed0").eval()
        unit, position = self.index.locate(np.arange(len(self.index)))
        images = [(self.index.units[number], str(at)) for number, at in zip(unit, position)]
        tables = (read_table(folder / f"{name}.tsv") for name in ("units", "labels"))
        self.real = RealImages(self.features, *labels_and_groups(images, *tables, arguments.slides_are_units))
        self.images = open_images(self.index, CPU, 4.0, 1)
        self.sources = np.random.default_rng(0).permutation(len(self.index))[: arguments.sources]
        self.source_features = self.encoder(self.images.batch(torch.from_numpy(self.sources))).numpy()
        self.steps, self.guidance, self.toy = arguments.steps, arguments.guidance, arguments.toy

    def evaluate(self, pipeline: GenSISPipeline, **options: Any) -> tuple[dict[str, float], torch.Tensor]:
        """Generate images with the pipeline, called with ``options``.

        Returns:
            Metrics of the images, and the images: uint8 (n, 3, H, W).
        """
        generator = torch.Generator().manual_seed(0)
        conditions = torch.from_numpy(self.features[self.sources])
        generated = []
        for block in conditions.split(100):
            noise = torch.randn(len(block), *pipeline.noise_shape, generator=generator)
            with torch.autocast("cpu", torch.bfloat16, enabled=not self.toy):
                arguments = {"guidance": self.guidance, "num_inference_steps": self.steps} | options
                generated.append(pipeline(block, noise=noise, **arguments))
        images = torch.cat(generated)
        features = self.encoder(images).numpy()
        embedded = {"generated": features, "real": self.source_features}
        consistency = class_consistency(self.real, self.sources, embedded, resamples=200, device=CPU)
        names = {"value": "class_consistency", "low": "class_consistency_low", "high": "class_consistency_high"}
        figures = {names[name]: value for name, value in consistency["ratio"].items()}
        fidelity = float(cosines(features, conditions.numpy()).mean())
        return figures | {"real": consistency["real"]["value"], "fidelity": fidelity}, images


def trainer_of(
    candidate: dict[str, Any], evaluation: SourceEvaluation, image_px: int, common: dict[str, Any] = COMMON
) -> DiffusionTrainer:
    """The pipeline's trainer, with the candidate's denoiser and inputs."""
    inputs: Inputs = Pixels(evaluation.images, image_px)
    if side := candidate.get("patches"):
        inputs = Patches(inputs, side)
    settings = {name: value for name, value in candidate.items() if name not in ("patches", "transformer")}
    trainer = DiffusionTrainer(
        Diffusion(**(common | settings)), inputs, evaluation.embeddings, device=CPU, world=World(), seed=0
    )
    if arguments := candidate.get("transformer"):
        torch.manual_seed(0)
        channels, side_px, _ = inputs.shape
        width = evaluation.embeddings.shape[1]
        trainer.denoiser = Transformer(side_px, channels, projection_class_embeddings_input_dim=width, **arguments)
        trainer.parallel_denoiser = trainer.denoiser
        trainer.average = copy.deepcopy(trainer.denoiser).requires_grad_(False)
        trainer.optimizer_step = OptimizerStep(trainer.denoiser, common["learning_rate"], common["warmup_steps"])
    return trainer


def train_for(
    trainer: DiffusionTrainer, seconds: float, evaluate: Callable[[], Any], evaluations: int = EVALUATIONS
) -> Iterator[dict[str, Any]]:
    """Train for ``seconds`` of CPU time, which exclude evaluations; yields a row per evaluation.

    Each evaluation is due after twice the CPU time of the one before.
    """
    due = [seconds * 2.0 ** -(evaluations - 1 - number) for number in range(evaluations)]
    spent, step, losses = 0.0, 0, []
    while due:
        began = time.process_time()
        torch.manual_seed(step_seed(0, step))
        losses.append(trainer.step(step)["loss"].item())
        spent, step = spent + time.process_time() - began, step + 1
        if spent >= due[0]:
            due.pop(0)
            row = {"cpu_seconds": round(spent, 1), "images": step * trainer.images_per_step}
            yield row | {"loss": float(np.mean(losses[-200:]))} | evaluate()


def main(arguments: argparse.Namespace) -> None:
    """Train each candidate; write rows as CSV, a grid of images per candidate, and a plot of all curves."""
    torch.set_num_threads(1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    evaluation = SourceEvaluation(arguments)
    rows: list[dict[str, Any]] = []
    for name in arguments.candidates:
        common = COMMON | (TOY if arguments.toy else {})
        trainer = trainer_of(CANDIDATES[name], evaluation, arguments.image_px, common)
        pipeline = PatchPipeline(trainer.average, trainer.scheduler)
        strips = [evaluation.images.batch(torch.from_numpy(evaluation.sources[:SHOWN]))]

        def evaluate(pipeline: GenSISPipeline = pipeline, strips: list[torch.Tensor] = strips) -> dict[str, float]:
            figures, images = evaluation.evaluate(pipeline)
            strips.append(images[:SHOWN])
            return figures

        for row in train_for(trainer, 60 * arguments.minutes, evaluate, 1 if arguments.toy else EVALUATIONS):
            rows.append({"case": f"diffusion-{arguments.image_px}", "subject": name} | row)
            print(json.dumps(rows[-1]), flush=True)
            write(arguments.output, rows)
            draw_strips(arguments.output / f"{name}.png", strips)
    draw(arguments.output, rows)


def write(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write all rows as CSV."""
    with open(folder / "evaluations.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def draw_strips(path: Path, strips: list[torch.Tensor], zoom: int = 3) -> None:
    """Write a picture with the sources in the first row and the images of each evaluation below."""
    grid = torch.cat([torch.cat(list(strip), 2) for strip in strips], 1).permute(1, 2, 0).numpy()
    picture = Image.fromarray(grid)
    picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST).save(path)


def draw(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Plot class consistency against CPU time, one curve per candidate."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    for name in dict.fromkeys(row["subject"] for row in rows):
        curve = [row for row in rows if row["subject"] == name]
        axes.plot([row["cpu_seconds"] for row in curve], [row["class_consistency"] for row in curve], "o-", label=name)
    axes.axhline(1, linestyle=":", color="grey")
    axes.set(
        xscale="log",
        xlabel="CPU seconds of training, one core",
        ylabel="class consistency, as a multiple of that of real images",
    )
    axes.legend()
    figure.savefig(folder / "class_consistency.png", dpi=120, bbox_inches="tight")


def parser(description: str) -> argparse.ArgumentParser:
    """Options of every benchmark that evaluates generated images."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--run", type=Path, required=True, help="results of a run")
    options.add_argument("--encoder", required=True, help="an encoder of the run, with embeddings of the images")
    options.add_argument("--dataset", required=True)
    options.add_argument("--slides-are-units", action="store_true", help="the units are slides")
    options.add_argument("--sources", type=int, default=400)
    options.add_argument("--steps", type=int, default=12, help="steps of the sampler")
    options.add_argument("--guidance", type=float, default=1.5)
    options.add_argument("--output", type=Path, required=True)
    options.add_argument("--toy", action="store_true", help="toy size, to check that the benchmark runs")
    return options


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--image-px", type=int, default=16)
    options.add_argument("--minutes", type=float, default=8.0, help="CPU time of each candidate")
    options.add_argument("--candidates", nargs="+", default=list(CANDIDATES), choices=CANDIDATES)
    main(options.parse_args())
