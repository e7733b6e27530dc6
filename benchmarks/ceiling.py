"""An oracle: an arm whose bank holds other real images of the class of each source.

    snakemake images results/images/DATASET/labels.tsv --cores all --configfile config/NAME.yaml
    python benchmarks/ceiling.py --config config/NAME.yaml --arm '{"generative_views": "add"}' --output /tmp/ceiling

The bank is chosen by labels, so it is never an arm of a study: what a bank that knew the classes gives.
`--pool DATASET` takes the images from another data set of the config, which may have more of them; `--bank sources`
shows each source itself instead, as a third real view, and `--bank none` trains without a bank. `--init` goes on from a
trained encoder, as an arm with `init` does. Prints a JSON line per metric; a killed run goes on.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from gensis.artifacts.files import read_json
from gensis.artifacts.tables import read_table
from gensis.images.index import Index, read_index
from gensis.images.store import Store, write_store
from gensis.settings import load_study
from gensis.settings.base import laid_over
from gensis.settings.pretraining import Retraining
from gensis.settings.study import Study
from gensis.settings.tasks import find_task

SCRIPTS = Path(__file__).resolve().parents[1] / "workflow/scripts"


def labels_of(folder: Path, index: Index) -> np.ndarray:
    """Class name of each image of the train split, strings (N,); empty for images without a label."""
    of_image = {(row["unit"], row["row"]): row["label"] for row in read_table(folder / "labels.tsv")}
    places = zip(*index.locate(np.arange(len(index))))
    return np.array([of_image.get((index.units[unit], str(position)), "") for unit, position in places])


def same_class(labels: np.ndarray, pool: np.ndarray, *, is_own: bool, variants: int, seed: int) -> np.ndarray:
    """Rows of other images of the same class in a pool, int64 (N, variants), drawn at random for each source.

    Args:
        labels: (N,) of the sources.
        pool: (M,) of the images to choose from.
        is_own: whether the pool is the sources themselves: no source is then its own image.
        variants: images per source.
        seed: of the draws.
    """
    if not np.all(labels):
        sys.exit(
            f"{np.count_nonzero(labels == '')} of {len(labels)} images have no label of their own: an oracle needs all "
            "of them (the label of a slide is not that of its tiles)"
        )
    rows = {label: np.flatnonzero(pool == label) for label in np.unique(pool)}
    drawn = []
    for source, label in enumerate(labels):
        others = rows.get(label, np.empty(0, np.int64))
        others = others[others != source] if is_own else others
        if len(others) < variants:
            sys.exit(f"image {source} of class '{label}' has {len(others)} others in the pool: {variants} are needed")
        drawn.append(np.random.default_rng([seed, source]).choice(others, variants, replace=False))
    return np.stack(drawn)


def write_bank(folder: Path, chosen: np.ndarray, pool: Index) -> None:
    """Write a bank of the images at rows (N, variants) of the pool, unless it is there.

    Raises:
        SystemExit: another bank is there.
    """
    path, pooled = folder / "generative-0000.h5", "".join(map(str, pool.paths())).encode()
    images = hashlib.sha256(pooled + chosen.astype(np.int64).tobytes()).hexdigest()
    if path.exists():
        with Store(path) as store:
            if store.file.attrs.get("images") != images:
                sys.exit(f"{path} holds other images: choose another --output")
        return
    stores, (units, positions) = [Store(path) for path in pool.paths()], pool.locate(chosen.flatten())
    encoded = (stores[unit].read(position, position + 1)[0] for unit, position in zip(units, positions))
    source = np.repeat(np.arange(len(chosen)), chosen.shape[1])
    write_store(path, encoded, {"images": images}, columns=lambda: {"source": source})


def run(script: str, config: Any, *options: Any) -> None:
    """Run a script of the pipeline on the CPU or, if there is one, the GPU that it finds."""
    command = [SCRIPTS / script, "--config", config if isinstance(config, str) else json.dumps(config), *options]
    if subprocess.run([sys.executable, *map(str, command)], stdout=sys.stderr).returncode:
        sys.exit(f"{script} failed: see above")


def train(settings: Retraining, arguments: argparse.Namespace) -> Path:
    """Train the arm; return its folder."""
    output, train_table = arguments.output, arguments.images / settings.dataset / "train.tsv"
    bank = []
    if settings.bank:
        bank = ["--bank", output / "bank"]
        index = read_index(train_table)
        pool_folder = arguments.images / (arguments.pool or settings.dataset)
        pool = read_index(pool_folder / "train.tsv")
        chosen = np.arange(len(index))[:, None]
        if arguments.bank == "same-class":
            labels = labels_of(train_table.parent, index)
            of_pool, is_own = labels_of(pool_folder, pool), pool_folder == train_table.parent
            chosen = same_class(labels, of_pool, is_own=is_own, variants=arguments.variants, seed=arguments.seed)
        write_bank(output / "bank", chosen, pool)
    init = ["--init", arguments.init] if arguments.init else []
    where = ["--checkpoints", output / "checkpoints", "--output", output / "encoder", "--train", train_table]
    options = ["--seed", arguments.seed, *arguments.on, *where, *init, *bank]
    run("pretrain_encoder.py", settings.model_dump_json(), *options)
    return output / "encoder"


def measurable(study: Study) -> list[str]:
    """Tasks of single images that need nothing but the embeddings."""
    tasks = study.evaluation.image_tasks
    if others := [task for task in tasks if find_task(task).inputs]:
        print(f"not measured here: {', '.join(others)}", file=sys.stderr)
    return [task for task in tasks if task not in others]


def evaluate(study: Study, encoder: Path, arguments: argparse.Namespace) -> None:
    """Embed the data sets of the study's evaluation, evaluate, and print the metrics."""
    tasks = measurable(study)
    for dataset in study.evaluation.datasets:
        images, output = arguments.images / dataset, arguments.output / dataset
        units = [row["unit"] for row in read_table(images / "units.tsv") if int(row["images"])]
        part = output / "part-0000.h5"
        options = ["--seed", arguments.seed, *arguments.on]
        about = ["--encoder", encoder, "--images", images, "--output", part, "--units", *units]
        run("embed_images.py", study.embedding.model_dump_json(), *options, *about)
        tables = ["--units", images / "units.tsv", "--labels", images / "labels.tsv"]
        tables += ["--slides-are-units"] if study.datasets[dataset].kind == "slides" else []
        about = ["--encoder", arguments.output.name, "--dataset", dataset, "--output", output, "--tasks", *tasks]
        run("evaluate_encoder.py", study.evaluation.model_dump_json(), *options, "--embeddings", part, *tables, *about)
        for task in tasks:
            for metric in read_json(output / f"{task}.json").get("metrics", []):
                print(json.dumps({"arm": arguments.output.name, "dataset": dataset, "task": task} | metric), flush=True)


def main(arguments: argparse.Namespace) -> None:
    """Train and evaluate one arm."""
    values: dict[str, Any] = {}
    for path in arguments.config:
        values = laid_over(values, yaml.safe_load(path.read_text()))
    study = load_study(values | {"retraining": {}, "banks": {}})
    bank = None if arguments.bank == "none" else "real-images"
    given = {"bank": bank, "disentangle_weight": 0} | arguments.arm
    settings = Retraining.model_validate(laid_over(study.pretraining.model_dump(mode="json"), given))
    evaluate(study, train(settings, arguments), arguments)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, nargs="+", required=True, help="one or several, as --configfile")
    parser.add_argument("--images", type=Path, default=Path("results/images"), help="folder of the imported data sets")
    parser.add_argument("--bank", choices=("same-class", "sources", "none"), default="same-class")
    parser.add_argument("--pool", help="data set whose train split the images of the bank are taken from")
    parser.add_argument("--variants", type=int, default=8, help="images per source")
    parser.add_argument("--arm", type=json.loads, default={}, help="keys of the arm as JSON")
    parser.add_argument("--init", type=Path, help="folder of the encoder to start from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="folder of the arm, which bears its name")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--gpus", type=int, default=0)
    arguments = parser.parse_args()
    arguments.on = ["--threads", arguments.threads, "--gpus", arguments.gpus]
    main(arguments)
