"""A small finished run, written with the writers of the pipeline. Its images are flat colours that tests recognise."""

import io
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from gensis.artifacts.files import write_json
from gensis.artifacts.tables import write_table
from gensis.evaluation.comparisons import write_comparisons
from gensis.evaluation.paired import Value, compare_over_seeds, pairs_of
from gensis.evaluation.predictions import Predictions, write_predictions
from gensis.images.codec import encode_png
from gensis.images.embeddings import write_embeddings
from gensis.images.index import write_index
from gensis.images.store import write_store
from gensis.settings import load_study

SLIDE_SIDE_LEVEL0, TILE_LEVEL0, DOWNSAMPLE = 4096, 512, 32.0
REASONS = ["little_tissue", "pen", "not_chosen", "unreadable"]
COORDS_LEVEL0 = {"slide-a": [(0, 0), (512, 0), (2048, 1024)], "slide-b": [(1024, 3072), (3584, 3584)]}
OUTCOMES = {
    "slide-a": ("ok", ""),
    "slide-b": ("partial", "1 of 3 tiles cannot be read"),
    "blank": ("no_tissue", "tissue is 0.0% <of> the slide & covers no tile"),
}
TRAIN_ROWS = 5
TESTED = np.array([4, 0, 2])
"""Rows of the embeddings in the order of cross-validation: fold by fold."""
TESTED_LABELS = np.array([1, 0, 0])
CONFIG = {
    "run": "tiny",
    "datasets": {"tissue": {"kind": "slides", "sheet": "slides.csv"}},
    "pretraining": {"dataset": "tissue", "image_px": 16},
    "diffusion": {"channels": [8, 8]},
    "banks": {"default": {"variants": 2, "alphas": [0.25, 0.75], "shards": 2}},
    "retraining": {"gen-dino": {"bank": "default"}, "plain-bank": {"bank": "default"}},
    "evaluation": {"datasets": ["tissue"]},
}
MEASURED = {"unlabelled_test": False, "unlearnt_classes": [], "n": 5, "n_groups": 3, "n_ungrouped": 0}
VALUES = {"dino": 0.61, "gen-dino": 0.64, "plain-bank": 0.6, "random": 0.45, "pixels": 0.4}


def source_colour(row: int) -> tuple[int, int, int]:
    return (200, 10 * row, 0)


def generative_colour(source: int, variant: int) -> tuple[int, int, int]:
    return (0, 200, 10 * source + variant)


def interpolated_colour(source: int, alpha: float) -> tuple[int, int, int]:
    return (10 * source, int(100 * alpha), 200)


def flat(colour: tuple[int, int, int], side_px: int = 16) -> bytes:
    return encode_png(np.full((side_px, side_px, 3), colour, np.uint8))


def write_images(folder: Path) -> None:
    """The data set `tissue`: two slides with tiles, one without."""
    rows, train = [], []
    for unit, (outcome, reason) in OUTCOMES.items():
        coords = COORDS_LEVEL0.get(unit, [])
        first = sum(images for _, images, _ in train)
        images, content = write_slide(
            folder / f"{unit}.h5", coords, [flat(source_colour(first + i)) for i in range(len(coords))]
        )
        rows.append((unit, outcome, images, 0, reason))
        train.append((unit, images, content))
    write_index(folder / "train.tsv", train)
    write_table(folder / "outcomes.tsv", ("unit", "outcome", "images", "failed", "reason"), rows)


def write_slide(
    path: Path,
    coords_level0: list[tuple[int, int]],
    tiles: list[bytes],
    thumbnail: Image.Image | None = None,
    rejected: dict[tuple[int, int], str] = {},
    tissue: np.ndarray | None = None,
    focus: list[float] | None = None,
) -> tuple[int, str]:
    """A slide, white unless a thumbnail is given; `rejected` has the reason of tiles that were left out."""
    side_px = int(SLIDE_SIDE_LEVEL0 / DOWNSAMPLE)
    thumbnail = thumbnail or Image.new("RGB", (side_px, side_px), "white")
    mask = np.zeros(thumbnail.size[::-1], bool) if tissue is None else tissue
    scores = np.linspace(0, 1, len(coords_level0), dtype=np.float32)
    columns = {
        "coords": np.array(coords_level0, np.int64).reshape(-1, 2),
        "tissue_fraction": scores,
        "focus": scores if focus is None else np.array(focus, np.float32),
        "rejected_coords": np.array(list(rejected), np.int64).reshape(-1, 2),
        "rejected_reason": np.array([REASONS.index(reason) for reason in rejected.values()], np.uint8),
        "rejected_tissue_fraction": np.full(len(rejected), 0.25, np.float32),
        "thumbnail": _encoded(thumbnail, "JPEG"),
        "tissue_mask": _encoded(Image.fromarray(mask.astype(np.uint8) * 255), "PNG"),
    }
    of_columns = {
        "coords": {"patch_size": 256, "patch_size_level0": TILE_LEVEL0},
        "rejected_reason": {"reasons": REASONS},
        "thumbnail": {"downsample": DOWNSAMPLE},
        "tissue_mask": {"downsample": DOWNSAMPLE},
    }
    sides = {"tile_width_level0": float(TILE_LEVEL0), "tile_height_level0": float(TILE_LEVEL0)}
    size = {"width_level0": SLIDE_SIDE_LEVEL0, "height_level0": SLIDE_SIDE_LEVEL0}
    mpp = {"mpp_x": 0.25, "mpp_y": 0.25, "mpp_source": "openslide", "target_mpp": 0.5}
    return write_store(path, tiles, sides | size | mpp, columns=lambda: columns, column_attributes=of_columns)


def write_slide_without_thumbnail(path: Path) -> tuple[int, str]:
    """The store of a slide that could not be tiled."""
    columns = {
        "coords": np.zeros((0, 2), np.int64),
        "tissue_fraction": np.zeros(0, np.float32),
        "focus": np.zeros(0, np.float32),
        "rejected_coords": np.zeros((0, 2), np.int64),
        "rejected_reason": np.zeros(0, np.uint8),
        "rejected_tissue_fraction": np.zeros(0, np.float32),
        "thumbnail": np.zeros(0, np.uint8),
        "tissue_mask": np.zeros(0, np.uint8),
    }
    of_columns = {"coords": {"patch_size": 256}, "rejected_reason": {"reasons": REASONS}}
    return write_store(path, [], {}, columns=lambda: columns, column_attributes=of_columns)


def _encoded(image: Image.Image, format: str) -> np.ndarray:
    stream = io.BytesIO()
    image.save(stream, format=format)
    return np.frombuffer(stream.getvalue(), np.uint8)


def write_bank(folder: Path) -> None:
    """Two variants and two alphas of each source; the partner of row i is row i + 1."""
    generative = [
        (source, -1, 1.0, flat(generative_colour(source, variant)))
        for source in range(TRAIN_ROWS)
        for variant in range(2)
    ]
    write_shard(folder / "generative-0000.h5", generative)
    interpolated = [
        (source, (source + 1) % TRAIN_ROWS, alpha, flat(interpolated_colour(source, alpha)))
        for source in range(TRAIN_ROWS)
        for alpha in (0.25, 0.75)
    ]
    # Two shards, so that positions in a shard differ from positions in the bank.
    write_shard(folder / "interpolated-0000.h5", interpolated[:4])
    write_shard(folder / "interpolated-0001.h5", interpolated[4:])


def write_shard(path: Path, images: list[tuple[int, int, float, bytes]]) -> None:
    source, partner, alpha, encoded = zip(*images)
    columns = {
        "source": np.array(source, np.int64),
        "partner": np.array(partner, np.int64),
        "alpha": np.array(alpha, np.float32),
    }
    write_store(path, encoded, {}, columns=lambda: columns)


def write_training(folder: Path, columns: tuple[str, ...], rows: list[tuple[float, ...]], **provenance: object) -> None:
    write_table(folder / "history.csv", ("step", *columns), rows, delimiter=",")
    record = {
        "seconds": 120.5,
        "device": "cpu",
        "seed": 0,
        "packages": {"torch": "2.0"},
        "commit": "abc123",
        "finished": "2026-01-02T03:04:05+00:00",
    }
    write_json(folder / "provenance.json", record | provenance)


def write_trainings(run: Path) -> None:
    columns = ("loss", "dino", "teacher_entropy", "teacher_batch_entropy")
    plain = [(10, 5.1, 5.1, 3.0, 5.5), (20, 4.2, 4.2, 2.0, 5.4)]
    of_dino = {"resolved": {"prototypes": 1024}, "uniform_loss": 6.93}
    write_training(run / "encoders/dino/seed0", columns, plain, **of_dino)
    # The last value is absent, as in a history whose columns changed during the training.
    mixed = [(10, 10.2, 5.1, 3.0, 5.5, 5.1), (20, 8.4, 4.2, 2.0, 5.4, "")]
    write_training(run / "encoders/gen-dino/seed0", (*columns, "disentangle"), mixed, **of_dino)
    write_training(run / "diffusion/dino/seed0", ("loss",), [(10, 1.1), (20, 0.9)])


def write_scores(run: Path, values: dict[str, float] = VALUES, seeds: tuple[int, ...] = (0,)) -> None:
    """Summary, evaluations and comparisons, after the config: seed k scores k / 1000 more."""
    metrics = {"knn": ["accuracy_k5", "balanced_accuracy_k5"], "slides-abmil": ["balanced_accuracy", "auroc"]}
    rows = []
    for encoder, value in values.items():
        for seed in seeds:
            for task, names in metrics.items():
                figures = [(value + seed / 1000, value - 0.1, value + 0.1, name) for name in names]
                rows += [(encoder, "tissue", seed, task, name, *numbers, 5, 3) for *numbers, name in figures]
                evaluation = {"protocol": "5-fold cross-validation by group", "transductive": True} | MEASURED
                write_json(run / f"evaluation/{encoder}/tissue/seed{seed}/{task}.json", evaluation)
            skipped = {"skipped": "fewer than two classes"}
            write_json(run / f"evaluation/{encoder}/tissue/seed{seed}/linear.json", skipped)
    rows += [
        ("chance", "tissue", seed, task, name, 0.333333, "", "", 5, 3)
        for seed in seeds
        for task, names in metrics.items()
        for name in names
    ]
    columns = ("encoder", "dataset", "seed", "task", "metric", "value", "low", "high", "n", "n_groups")
    write_table(run / "summary.csv", columns, rows, delimiter=",")
    measured = [Value(**dict(zip(columns[:6], row))) for row in rows]
    study = load_study(yaml.safe_load((run / "config.yaml").read_text()))
    pairs = pairs_of(study.baseline, list(study.retraining), study.main_arm, list(study.encoders))
    write_comparisons(run / "comparisons.csv", compare_over_seeds(measured, pairs))


def write_config(run: Path, **changes: object) -> None:
    study = load_study(CONFIG | changes)
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.yaml").write_text(yaml.safe_dump(study.resolved(), sort_keys=False))


def write_measured_embeddings(run: Path) -> None:
    """Embeddings of all images by dino, and k-NN predictions for those in TESTED."""
    features = np.random.default_rng(0).normal(size=(TRAIN_ROWS, 3)).astype(np.float32)
    folder, keys = run / "embeddings/dino/tissue/seed0", np.zeros((TRAIN_ROWS, 2), np.int64)
    write_embeddings(
        folder / "part-0000.h5", [features[:3]], unit=np.zeros(3, np.int32), units=["slide-a"], keys=keys[:3]
    )
    write_embeddings(
        folder / "part-0001.h5", [features[3:]], unit=np.ones(2, np.int32), units=["blank", "slide-b"], keys=keys[3:]
    )
    zeros = np.zeros(len(TESTED), np.int64)
    knn = Predictions(
        classes=("a", "b"),
        item=TESTED,
        group=zeros,
        fold=zeros,
        label=TESTED_LABELS,
        probabilities={"_k5": np.eye(2)[TESTED_LABELS]},
    )
    write_predictions(run / "evaluation/dino/tissue/seed0/predictions.h5", {"knn": knn}, {})


def write_benchmark(run: Path, job: str, seconds: float, processor: object = "NA") -> None:
    """Time and processor time of a job, as Snakemake writes them."""
    write_table(run / f"benchmarks/{job}.tsv", ("s", "mean_load", "cpu_time"), [(seconds, 90, processor)])
