"""Check a finished run: every file is there, whole, and the one that its neighbours were made from."""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml

from gensis import command
from gensis.artifacts.files import content_id, read_json
from gensis.artifacts.tables import read_table
from gensis.errors import UserError
from gensis.images.embeddings import read_embeddings
from gensis.images.index import read_index
from gensis.images.kept import read_kept
from gensis.images.rows import ALL, parse_rows
from gensis.images.store import Store

log = logging.getLogger("verify_run")


def main(arguments: argparse.Namespace) -> None:
    """Report every problem; end with an error if there is one."""
    run, images = arguments.run_folder, arguments.images_folder
    study = yaml.safe_load((run / "config.yaml").read_text())
    problems = []
    for name in [study["pretraining"]["dataset"], *study["evaluation"]["datasets"]]:
        problems += check_images(images / name)
    for folder in sorted(run.glob("encoders/*/seed*")):
        problems += check_weights(folder, "model.safetensors")
    for folder in sorted(run.glob("autoencoder/seed*")):
        problems += check_weights(folder, "diffusion_pytorch_model.safetensors")
    for folder in sorted(run.glob("diffusion/*/seed*")):
        problems += check_weights(folder, "denoiser/diffusion_pytorch_model.safetensors")
    for path in sorted(run.glob("embeddings/*/*/seed*/part-*.h5")):
        problems += check_embeddings(path)
    trained_on = len(read_index(images / study["pretraining"]["dataset"] / "train.tsv"))
    for path in sorted(run.glob("bank/*/seed*/*.h5")):
        problems += check_bank(path, trained_on)
    for path in sorted(run.glob("bank/*/seed*/kept/*.h5")):
        problems += check_kept(path)
    problems += check_summary(run)
    for problem in problems:
        log.error("%s", problem)
    if problems:
        raise UserError(f"{run}: {len(problems)} problems, listed above: delete what is named and run again")
    log.info("%s: all files are whole and fit together", run)


def check_images(folder: Path) -> Iterator[str]:
    """Stores against their outcomes and the index."""
    indexed = {row["unit"]: row for row in read_table(folder / "train.tsv")}
    for unit in read_table(folder / "units.tsv"):
        path = folder / f"{unit['unit']}.h5"
        outcome = read_json(path.with_suffix(".json"))
        in_train = indexed.get(unit["unit"], unit | {"content": outcome["content"]})
        with Store(path) as store:
            if store.computed_content() != store.content:
                yield f"{path}: damaged, its bytes are not those that were written"
            if not store.content == outcome["content"] == in_train["content"]:
                yield f"{path}: not the store that {folder} indexes"
            rows = parse_rows(unit.get("rows", ALL), len(store))
            if len(rows) != int(unit["images"]) or rows.max(initial=-1) >= len(store):
                yield f"{path}: {len(store)} images, of which {len(rows)} are chosen, {unit['images']} in units.tsv"
        if any(unit.get(column, ALL) != in_train.get(column, ALL) for column in ("images", "rows")):
            yield f"{path}: train.tsv and units.tsv choose different images of it"


def check_weights(folder: Path, name: str) -> Iterator[str]:
    """Weights against the content id in the provenance."""
    if content_id(folder / name) != read_json(folder / "provenance.json")["weights"]:
        yield f"{folder / name}: not the weights that provenance.json describes"


def check_embeddings(path: Path) -> Iterator[str]:
    """Embeddings: finite, one an image."""
    part = read_embeddings([path])
    if not np.isfinite(part.features).all():
        yield f"{path}: embeddings that are not finite"
    if not len(part.features) == len(part.unit) == len(part.keys):
        yield f"{path}: columns of different lengths"


def check_bank(path: Path, sources: int) -> Iterator[str]:
    """A shard of a bank: whole, its sources and partners among the training images, no image its own partner."""
    with Store(path) as store:
        if store.computed_content() != store.content:
            yield f"{path}: damaged, its bytes are not those that were written"
        source, partner = store.column("source"), store.column("partner")
    if len(source) and (source.max() >= sources or partner.max() >= sources or (source == partner).any()):
        yield f"{path}: sources or partners that are not among the {sources} training images"


def check_kept(path: Path) -> Iterator[str]:
    """What a filter keeps of a shard: as many answers as images."""
    store = path.parents[1] / path.name
    with Store(store) as painted:
        if len(read_kept(store)) != len(painted):
            yield f"{path}: not of the images in {store}"


def check_summary(run: Path) -> Iterator[str]:
    """Every figure of the evaluations stands in the summary."""
    rows = {
        (row["encoder"], row["dataset"], row["seed"], row["task"], row["metric"])
        for row in read_table(run / "summary.csv", delimiter=",")
    }
    for path in sorted(run.glob("evaluation/*/*/seed*/*.json")):
        result = read_json(path)
        for metric in result.get("metrics", []):
            key = (result["encoder"], result["dataset"], str(result["seed"]), result["task"], metric["metric"])
            if key not in rows:
                yield f"{path}: {metric['metric']} is missing in summary.csv"


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--run-folder", type=command.existing_folder, required=True)
    parser.add_argument("--images-folder", type=command.existing_folder, required=True)
    command.run(main, parser.parse_args())
