"""Measure the quality of a bank: fidelity, realism, copying, diversity and class consistency of its images."""

import argparse
import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from gensis import command
from gensis.artifacts.files import content_id, read_json, write_json
from gensis.artifacts.provenance import external_weights_of, provenance
from gensis.artifacts.tables import read_table
from gensis.augment.resample import resize
from gensis.augment.views import ViewRecipe, view
from gensis.bank.generation import even_batch_size, generate_plan, largest_batch
from gensis.bank.plan import plan_generative
from gensis.diffusion.loading import generate_function, load_pipeline
from gensis.diffusion.pipeline import slerp
from gensis.evaluation import bank_metrics as metrics
from gensis.evaluation.bank_metrics import ImageFeatures
from gensis.evaluation.class_consistency import RealImages, class_consistency
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.knn_history import labels_and_groups
from gensis.images.bank_filter import count_filtered
from gensis.images.features import Features
from gensis.images.index import Index, index_of, read_index
from gensis.images.reading import Images, StreamedImages, read_ahead
from gensis.settings.bank import Bank
from gensis.settings.evaluation import Evaluation
from gensis.settings.pretraining import Pretraining
from gensis.settings.runtime import Runtime
from gensis.ssl.auto import resolve, view_recipes
from gensis.ssl.backbone import load_encoder
from gensis.ssl.bank_images import SyntheticImages, bank_contents, open_bank
from gensis.ssl.untrained import untrained_encoder
from gensis.training.device import choose_device, device_name

FORMAT = "gensis-bank-quality/1"
PIXELS_PX = 16
MOST_HELD_OUT = 256
MOST_KNOWN = 100_000  # training images that neighbours are searched in; sources and partners are added
CONDITIONS = 64  # conditions that two images each are generated from, to measure diversity
BLUR = 4  # images are blurred by downsizing by this factor and enlarging
# Images in a batch. Views are drawn batch by batch, so results would depend on runtime.inference_batch_size.
FEATURE_BATCH = 64
SECONDS_A_LINE = 20
NONE = "the bank has none"

log = logging.getLogger("evaluate_bank")


class BankEvaluation:
    """A bank with its training images, encoder and diffusion model."""

    def __init__(self, arguments: argparse.Namespace, index: Index, features: Features, device: torch.device):
        """Open everything and draw the sources; ``features`` are the embeddings of the index's images."""
        self.arguments, self.index, self.device = arguments, index, device
        self.units = read_table(arguments.units)
        self.images = StreamedImages(index, device, arguments.threads)
        self.pipeline = load_pipeline(arguments.diffusion, features.shape[1], device)
        self.encoder = load_encoder(arguments.encoder).to(device)
        self.untrained = untrained_encoder(arguments.pretraining, arguments.seed).to(device)
        self.recipe = first_view(arguments.pretraining, len(index))
        self.banks = {kind: self.open_bank(kind) for kind in ("generative", "interpolated")}
        rows = shuffled(len(index), arguments.seed)
        count = min(arguments.evaluation.bank_images, len(index) // 2)
        has_images = np.all([bank.first.diff().numpy() > 0 for bank in self.banks.values() if bank], axis=0)
        self.sources = rows[has_images[rows]][:count] if has_images.ndim else rows[:count]
        self.others = rows[~np.isin(rows, self.sources)][: len(self.sources)]
        self.drawn = {kind: self.draw(bank) for kind, bank in self.banks.items() if bank}
        interpolated = self.banks["interpolated"]
        partners = interpolated.partner[self.drawn["interpolated"]].numpy() if interpolated else rows[:0]
        self.known = np.unique(np.concatenate([rows[:MOST_KNOWN], self.sources, partners]))
        self.features = features[self.known].numpy()

    def open_bank(self, kind: str) -> SyntheticImages | None:
        """The bank's images of a kind, as in training; None if there are none."""
        arguments = self.arguments
        if arguments.filtered and not filter_counts(arguments.bank, kind)["kept"]:
            return None
        streamed = partial(StreamedImages, device=self.device, threads=arguments.threads)  # only few are read
        return open_bank(arguments.bank, kind, len(self.index), streamed, filtered=arguments.filtered)

    def features_of(self, name: str, count: int, batches: Iterable[torch.Tensor]) -> ImageFeatures:
        """Features of ``count`` images, given in batches of uint8 (n, 3, H, W); ``name`` is for the log."""
        parts: list[tuple[np.ndarray, ...]] = []
        done, began, logged = 0, time.time(), time.time()
        for batch in batches:
            as_large = to_bytes(resize(batch, self.pipeline.image_px))
            small = resize(as_large, PIXELS_PX).flatten(1) / 127.5 - 1
            parts.append(tuple(values.cpu().numpy() for values in (self.encoder(batch), self.untrained(batch), small)))
            done += len(batch)
            if done == count or time.time() - logged > SECONDS_A_LINE:
                command.progress(log, done, count, began, name)
                logged = time.time()
        return ImageFeatures(*map(np.concatenate, zip(*parts)))

    def features_of_rows(
        self, name: str, images: Images, rows: np.ndarray, change: Callable[[torch.Tensor], torch.Tensor] | None = None
    ) -> ImageFeatures:
        """Features of images by their rows, after an optional ``change``."""
        batches = read_ahead(images, torch.from_numpy(rows).split(FEATURE_BATCH))
        return self.features_of(name, len(rows), map(change, batches) if change else batches)

    def draw(self, bank: SyntheticImages) -> np.ndarray:
        """Positions in the bank of one random image of each source."""
        generator = torch.Generator().manual_seed(self.arguments.seed)
        return bank.choose(torch.from_numpy(self.sources), generator)[0].numpy()

    def features_of_bank(self, kind: str) -> ImageFeatures | None:
        """Features of the drawn images of a kind; None if there are none."""
        bank = self.banks[kind]
        return bank and self.features_of_rows(f"{kind} images", bank.images, self.drawn[kind])

    def places(self, rows: np.ndarray) -> np.ndarray:
        """Positions of rows of the train split in `features`."""
        return np.searchsorted(self.known, rows)

    def generate(self, name: str, conditions: np.ndarray, variants: int) -> ImageFeatures:
        """Features of images generated with the bank's settings: ``variants`` for each of float32 (n, D) conditions."""
        plan = plan_generative(range(len(conditions)), variants, self.arguments.seed)
        batch_size = even_batch_size(len(plan), largest_batch(self.arguments.runtime.inference_batch_size, self.device))
        generated = generate_plan(
            plan,
            torch.from_numpy(conditions),
            noise_shape=self.pipeline.noise_shape,
            generate=generate_function(self.pipeline, Bank.model_validate(self.arguments.config)),
            batch_size=batch_size,
            device=self.device,
            threads=self.arguments.threads,
        )
        images = (torch.from_numpy(batch).permute(0, 3, 1, 2).to(self.device) for batch in generated)
        return self.features_of(name, len(plan), images)

    def view(self, images: torch.Tensor) -> torch.Tensor:
        """An ordinary view (augmented crop) of each image."""
        return to_bytes(view(images, self.recipe) * 255)


def main(arguments: argparse.Namespace) -> None:
    """Write one JSON with the metrics, and the reasons why others could not be measured."""
    device = choose_device(arguments.gpus, arguments.threads)
    index = read_index(arguments.train)
    features = Features(index, arguments.embeddings)
    evaluation = BankEvaluation(arguments, index, features, device)
    result = {"sources": len(evaluation.sources), "figures": [], "skipped": {}}
    if len(evaluation.sources) < metrics.FEWEST:
        result["skipped"]["all figures"] = f"{len(evaluation.sources)} sources are fewer than {metrics.FEWEST}"
    else:
        measure(evaluation, result)
    if arguments.filtered:
        result["filter"] = filtered(evaluation)
    for figure in result["figures"]:
        log.info("%s: %.4g (%.4g to %.4g)", *(figure[key] for key in ("figure", "value", "floor", "ceiling")))
    for name, reason in result["skipped"].items():
        log.info("%s: skipped: %s", name, reason)
    inputs = {
        "train": content_id(arguments.train),
        "embeddings": features.content,
        "encoder": content_id(arguments.encoder / "model.safetensors"),
        "diffusion": read_json(arguments.diffusion / "provenance.json")["weights"],
        "units": content_id(arguments.units),
        **({"labels": content_id(arguments.labels)} if arguments.labels else {}),
        **bank_contents(arguments.bank, arguments.filtered),
    }
    settings = {"bank": arguments.config, "evaluation": arguments.evaluation.model_dump(mode="json")}
    external = external_weights_of(arguments.diffusion)
    record = provenance(FORMAT, settings, inputs, arguments.seed, device_name(device), arguments.started, external)
    write_json(arguments.output, {"format": FORMAT, **result, "provenance": record})


def measure(evaluation: BankEvaluation, result: dict[str, Any]) -> None:
    """Add metrics to the result, and the reasons why others could not be measured."""
    torch.manual_seed(evaluation.arguments.seed)  # views are drawn from the global generator
    views = evaluation.features_of_rows("views", evaluation.images, evaluation.sources, evaluation.view)
    generative, interpolated = map(evaluation.features_of_bank, ("generative", "interpolated"))
    if generative:
        measure_generative(evaluation, generative, views, result)
    else:
        result["skipped"]["generative images"] = NONE
    if interpolated:
        measure_interpolated(evaluation, interpolated, generative, views, result)
    else:
        result["skipped"]["interpolated images"] = NONE


def measure_generative(
    evaluation: BankEvaluation, generated: ImageFeatures, views: ImageFeatures, result: dict[str, Any]
) -> None:
    """Measure generative images: fidelity, retrieval, realism, copying, diversity and class consistency."""
    figures, sources = result["figures"], evaluation.sources
    places = evaluation.places(sources)
    conditions = evaluation.features[places]
    real = evaluation.features_of_rows("other images", evaluation.images, evaluation.others)
    own = evaluation.features_of_rows("sources", evaluation.images, sources)
    blurred = evaluation.features_of_rows("blurred sources", evaluation.images, sources, blur)
    figures += metrics.fidelity("fidelity", generated.encoder, conditions, views.encoder, conditions)
    figures += metrics.retrieval(generated.encoder, views.encoder, places, evaluation.features, evaluation.device)
    figures += metrics.resemblance(real, own, generated, blurred)
    figures += metrics.detection(real, generated)
    known = np.concatenate([own.pixels, real.pixels])
    figures += metrics.copying("near_duplicates", generated, own, np.arange(len(own)), known)
    measure_held_out(evaluation, views, known, result)
    some = sources[:CONDITIONS].repeat(2)
    variants = evaluation.generate("two images per condition", conditions[:CONDITIONS], 2)
    variant_views = evaluation.features_of_rows("two views per source", evaluation.images, some, evaluation.view)
    figures += metrics.diversity(variants, variant_views, real, evaluation.arguments.evaluation.bootstrap)
    kinds = {"generated": generated, "real": own, "views": views}
    measure_class_consistency(evaluation, {kind: images.encoder for kind, images in kinds.items()}, result)


def measure_held_out(
    evaluation: BankEvaluation, views: ImageFeatures, known: np.ndarray, result: dict[str, Any]
) -> None:
    """Measure fidelity and copying of images that are generated from held-out images, not used in training."""
    names = {path.stem for path in evaluation.arguments.held_out}
    lines = [line for line in evaluation.units if line["unit"] in names and int(line["images"])]
    if not lines:
        result["skipped"]["held-out images"] = "there is no test split"
        return
    index = index_of(evaluation.arguments.train.parent, lines)
    rows = shuffled(len(index), evaluation.arguments.seed)[:MOST_HELD_OUT]
    with StreamedImages(index, evaluation.device, evaluation.arguments.threads) as images:
        own = evaluation.features_of_rows("held-out images", images, rows)
    generated = evaluation.generate("images generated from held-out images", own.encoder, 1)
    conditions = evaluation.features[evaluation.places(evaluation.sources)]
    result["figures"] += metrics.fidelity(
        "fidelity_held_out", generated.encoder, own.encoder, views.encoder, conditions
    )
    result["figures"] += metrics.copying("near_duplicates_held_out", generated, own, np.full(len(rows), -1), known)


def measure_class_consistency(
    evaluation: BankEvaluation, embeddings: dict[str, np.ndarray], result: dict[str, Any]
) -> None:
    """Measure class consistency of generated images, sources and views. Only this metric uses labels."""
    try:
        if evaluation.arguments.labels is None:
            raise Unmeasurable("the data set has no labels")
        unit, position = evaluation.index.locate(evaluation.known)
        images = [(evaluation.index.units[number], str(at)) for number, at in zip(unit, position)]
        labels = read_table(evaluation.arguments.labels)
        known = RealImages(
            evaluation.features,
            *labels_and_groups(images, evaluation.units, labels, evaluation.arguments.slides_are_units),
        )
        resamples = evaluation.arguments.evaluation.bootstrap
        consistency = class_consistency(
            known,
            evaluation.places(evaluation.sources),
            embeddings,
            resamples,
            evaluation.device,
        )
    except Unmeasurable as reason:
        result["skipped"]["class consistency"] = str(reason)
        return
    result["class_consistency"] = consistency
    values = (consistency[kind]["value"] for kind in embeddings)
    log.info("class consistency: %.3f; of real images %.3f, of views %.3f", *values)


def measure_interpolated(
    evaluation: BankEvaluation,
    generated: ImageFeatures,
    generative: ImageFeatures | None,
    views: ImageFeatures,
    result: dict[str, Any],
) -> None:
    """Measure interpolated images: fidelity, and similarity to source and partner along alpha."""
    bank, drawn = evaluation.banks["interpolated"], evaluation.drawn["interpolated"]
    alpha, sources, partners = (
        bank.alpha[drawn],
        evaluation.places(evaluation.sources),
        evaluation.places(bank.partner[drawn].numpy()),
    )
    pair = (normalize(torch.from_numpy(evaluation.features[places])) for places in (sources, partners))
    conditions, own = slerp(*pair, alpha).numpy(), evaluation.features[sources]
    figures = metrics.fidelity("fidelity_interpolated", generated.encoder, conditions, views.encoder, own)
    ends = generated.encoder[:0] if generative is None else generative.encoder
    more_figures, result["along_alpha"] = metrics.interpolation(
        generated.encoder,
        ends,
        alpha.numpy(),
        sources,
        partners,
        evaluation.features,
        evaluation.device,
    )
    result["figures"] += figures + more_figures


def filter_counts(folder: Path, kind: str) -> dict[str, int]:
    """Sums of `count_filtered` over all stores of a kind."""
    counts = [count_filtered(path) for path in sorted(folder.glob(f"{kind}-*.h5"))]
    return {name: sum(each[name] for each in counts) for name in counts[0]}


def filtered(evaluation: BankEvaluation) -> dict[str, dict[str, int]]:
    """Numbers of images that the bank's filter keeps and removes, by kind of image."""
    counts = {}
    for kind, bank in evaluation.banks.items():
        sources = 0 if bank is None else int((bank.first.diff() > 0).sum())
        counts[kind] = filter_counts(evaluation.arguments.bank, kind) | {
            "sources_without": len(evaluation.index) - sources
        }
        log.info("%s: %s", kind, ", ".join(f"{number} {name}" for name, number in counts[kind].items()))
    return counts


def shuffled(count: int, seed: int) -> np.ndarray:
    """All rows in random order, int64 (count,)."""
    return np.random.default_rng(seed).permutation(count)


def first_view(settings: Pretraining, images: int) -> ViewRecipe:
    """The recipe of the first global view in pre-training."""
    return view_recipes(settings.views, settings.image_px, resolve(settings, images, True, 1))[0]


def blur(images: torch.Tensor) -> torch.Tensor:
    """Blur images by downsizing and enlarging them."""
    side_px = images.shape[2]
    return to_bytes(resize(to_bytes(resize(images, max(side_px // BLUR, 1))), side_px))


def to_bytes(values: torch.Tensor) -> torch.Tensor:
    """Round values in [0, 255] to uint8."""
    return values.round().to(torch.uint8)


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
    parser.add_argument("--diffusion", type=Path, required=True, help="folder of the diffusion model")
    parser.add_argument("--bank", type=Path, required=True, help="folder of the bank")
    parser.add_argument("--filtered", action="store_true", help="measure only images that the filter keeps")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    command.run(main, parser.parse_args())
