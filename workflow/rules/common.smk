# Paths, stage configs and helpers of all rules; no rules here.
# Imports only the standard library, pydantic and PyYAML (through gensis.settings): planning must stay fast.
import functools
import gc
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, os.path.join(workflow.basedir, "workflow", "scripts"))

from gensis.artifacts.contents import Contents
from gensis.artifacts.files import digest, quick_id, read_json
from gensis.artifacts.tables import read_table
from gensis.diffusion import AUTOENCODER_RECIPE
from gensis.diffusion import RECIPE as DIFFUSION_RECIPE
from gensis.errors import UserError
from gensis.settings import Study, load_study, stage_json
from gensis.settings.autoencoder_training import autoencoder_files
from gensis.settings.base import canonical_json
from gensis.settings.dates import refuse_future
from gensis.settings.encoders import weight_files
from gensis.settings.same_files import images_of, in_common
from gensis.settings.study import read_backbones
from gensis.settings.units import Unit, Units, list_units
from gensis.slides.slide_files import slide_files
from gensis.ssl import RECIPE as ENCODER_RECIPE

# Planning creates millions of objects that stay, and hardly any garbage: fewer collections save a seventh of the time.
gc.set_threshold(1_000_000, 50, 50)

DEMO_FOLDER = os.path.join(workflow.basedir, "resources", "demo")


def from_here(path: str) -> str:
    """Resolve a path of the config, relative to the working directory if it exists there, else to this repository."""
    in_repository = os.path.join(workflow.basedir, path)
    return in_repository if not os.path.exists(path) and os.path.exists(in_repository) else path


def relative(path: str) -> str:
    """The path relative to the working directory if it lies inside, so that a moved clone reruns nothing."""
    inside = os.path.relpath(path)
    return path if inside.startswith("..") else inside


def is_drawn(path: str) -> bool:
    """Whether a rule creates this slide, as for the synthetic slides of the demo."""
    return os.path.dirname(os.path.abspath(path)) == DEMO_FOLDER and path.endswith(".tiff")


def read_config() -> tuple[Study, dict[str, Units]]:
    """The validated study, and the units of every data set that it uses. Exits with one line if the config is wrong."""
    try:
        study = load_study(config, read_backbones(Path(workflow.basedir, "config", "backbones.txt")))
        for encoder in study.encoders.values():
            if encoder.path:
                weights = weight_files(Path(from_here(encoder.path)))
                refuse_future({str(path): path.stat().st_mtime for path in weights})
        if study.autoencoder not in ("auto", "none", "train"):
            autoencoder_files(Path(from_here(study.autoencoder)))
        for name, dataset in study.datasets.items():
            if hasattr(dataset, "path"):
                study.datasets[name] = dataset.model_copy(update={"path": from_here(dataset.path)})
        return study, {
            name: list_units(study.datasets[name], sheet(study, name), is_drawn) for name in study.used_datasets
        }
    except UserError as error:
        sys.exit(f"error: {error}")


def sheet(study: Study, dataset: str) -> Path | None:
    """Path of a data set's sheet; None if it has none."""
    settings = study.datasets[dataset]
    return Path(relative(from_here(settings.sheet))) if hasattr(settings, "sheet") else None


STUDY, UNITS = read_config()
RUN = f"results/{STUDY.run}"
IMAGES = "results/images"
# Stored next to Snakemake's records of params, which contain these versions.
CONTENTS = Contents(Path(".snakemake", "contents.tsv"))
TRAINED_ON = STUDY.pretraining.dataset if STUDY.pretraining else None
ENCODERS = ("dino", *STUDY.retraining) if STUDY.pretraining else ()
ALL_ENCODERS = (*ENCODERS, *STUDY.encoders)
BASELINES = ("random", "pixels") if STUDY.pretraining else ("pixels",)
SLIDE_DATASETS = [name for name in UNITS if STUDY.datasets[name].kind == "slides"]
SLIDES = {(name, unit.name): unit for name in SLIDE_DATASETS for unit in UNITS[name].units}
NATURAL_DATASETS = [name for name in UNITS if name not in SLIDE_DATASETS]
# Slide tasks need labels of whole slides: annotations label only tiles.
LABELLED_SLIDES = [name for name in SLIDE_DATASETS if any(unit.row.label for unit in UNITS[name].units)]


def has_labels(dataset: str) -> bool:
    """Whether a data set can be evaluated on. Only a sheet shows this in advance; other sources may have labels."""
    rows = UNITS[dataset].rows
    return not rows or any(row.label or row.annotations for row in rows)


@functools.cache  # called for every job of evaluate_encoder
def is_learnt_from(dataset: str) -> bool:
    """Whether pre-training uses some of the tested images of a data set, even if another data set lists them."""
    trained_on, tested = (
        images_of(STUDY.datasets[name], UNITS[name].rows, split)
        for name, split in ((TRAINED_ON, "train"), (dataset, tested_split(dataset)))
    )
    return in_common(trained_on, tested)


@functools.cache
def tested_split(dataset: str) -> str:
    """The split whose images are tested: `test`, or `train` by cross-validation if there is no labelled test split."""
    units = UNITS[dataset]
    if not units.rows:
        return "test" if units.has_test else "train"
    labelled_by = "annotations" if any(row.annotations for row in units.rows) else "label"
    return "test" if any(row.split == "test" and getattr(row, labelled_by) for row in units.rows) else "train"


EVALUATED = [name for name in STUDY.evaluation.datasets if has_labels(name)]
for name in set(STUDY.evaluation.datasets) - set(EVALUATED):
    print(f"{name}: skipped in evaluation: its sheet has no labels", file=sys.stderr)


def one_of(names: list[str]) -> str:
    """Wildcard constraint that matches one of some names; without names, it matches nothing."""
    return "|".join(map(re.escape, names)) or "(?!)"


# Params. Functions that take `output` or `resources` are derived params: Snakemake does not record them, so they never
# cause a rerun. All others are recorded, and a job is rerun when they change.


def stage(name: str) -> Callable[..., str]:
    """The settings of a stage as canonical JSON; ``name`` may hold wildcards: `banks/{bank}`."""
    return lambda wildcards: stage_json(STUDY, name.format(**wildcards))


def script_of(name: str) -> str:
    """Path of a script, wherever this repository lies."""
    return os.path.join(workflow.basedir, "workflow", "scripts", f"{name}.py")


def script(name: str) -> Callable[..., str]:
    """Path of a script as a derived param."""
    return lambda wildcards, output: script_of(name)


def interpreter() -> str:
    """The Python that runs Snakemake, or `python` of the job's own environment."""
    return "python" if workflow.deployment_settings.deployment_method else sys.executable


def assign_gpus(gpus: int) -> list[str]:
    """The start of a command line: the interpreter, after a script that assigns GPUs if the job needs any."""
    return [interpreter(), script_of("assign_gpus"), str(gpus), interpreter()] if gpus else [interpreter()]


def program(name: str) -> Callable[..., str]:
    """Interpreter and script, quoted, as a derived param."""
    return lambda wildcards, output, resources: shlex.join([*assign_gpus(resources.get("gpu", 0)), script_of(name)])


def launcher(wildcards, output, resources) -> str:
    """Command that launches a training: Python, or torchrun with a process per GPU, on each node of a SLURM job."""
    nodes = resources.get("nodes", 1)
    gpus = resources.get("gpu", 0) // nodes  # `gpu` is the total over all nodes
    python = shlex.join(assign_gpus(gpus))
    torchrun = f"{python} -m torch.distributed.run --nproc-per-node={max(gpus, 1)}"
    if nodes > 1:
        rendezvous = '--rdzv-backend=c10d --rdzv-endpoint="$(hostname):29500" --rdzv-id="$SLURM_JOB_ID"'
        return f"srun --overlap --ntasks={nodes} --ntasks-per-node=1 {torchrun} --nnodes={nodes} {rendezvous}"
    return f"{torchrun} --standalone" if gpus > 1 else python


def runtime(wildcards, output) -> str:
    """The section `runtime` as JSON."""
    return STUDY.runtime.model_dump_json()


def checkpoints(wildcards, output) -> str:
    """Root of the checkpoint folders, which outlive jobs."""
    return os.environ.get("GENSIS_CHECKPOINTS") or f"{RUN}/checkpoints"


def events(wildcards, output) -> str:
    """Folder of a training's TensorBoard events, which outlive the job."""
    return f"{RUN}/tensorboard/{os.path.relpath(os.path.dirname(output[0]), RUN)}"


def folder(wildcards, output) -> str:
    """The folder of the first output."""
    return os.path.dirname(output[0])


def folder_of_input(name: str) -> Callable[..., str]:
    """The folder of a named input's first file."""

    def provider(wildcards, input) -> str:
        path = input.get(name)
        return os.path.dirname(path if isinstance(path, str) else path[0])

    return provider


# Files.


def stores(dataset: str, units: tuple[Unit, ...]) -> list[str]:
    """Image stores of some units."""
    return [f"{IMAGES}/{dataset}/{unit.name}.h5" for unit in units]


def outcomes(dataset: str, units: tuple[Unit, ...]) -> list[str]:
    """Outcomes of some units."""
    return [f"{IMAGES}/{dataset}/{unit.name}.json" for unit in units]


def outcome_tables(datasets: list[str]) -> list[str]:
    """Tables with the outcome of each slide, of those data sets that are slides."""
    return [f"{IMAGES}/{dataset}/outcomes.tsv" for dataset in datasets if dataset in SLIDE_DATASETS]


def slide_overlays() -> list[str]:
    """Overlays of each slide, and a contact sheet of all slides, for each data set of slides."""
    return [f"{IMAGES}/{dataset}/{name}" for dataset in SLIDE_DATASETS for name in ("overlays", "slides.jpg")]


def slide(wildcards) -> Unit:
    """The unit of a slide job."""
    return SLIDES[wildcards.dataset, wildcards.unit]


@functools.cache  # called for every job of embed_images
def part_units(dataset: str) -> list[tuple[Unit, ...]]:
    """The units of each part of the embeddings; no part has units of both splits."""
    size = STUDY.embedding.units_per_part
    return [
        units[start : start + size]
        for units in map(UNITS[dataset].of_split, ("train", "test"))
        for start in range(0, len(units), size)
    ]


def embedding_parts(encoder: str, dataset: str, seed: str, split: str = "") -> list[str]:
    """Embedding files of a data set, or of one split."""
    parts = part_units(dataset)
    return [
        f"{RUN}/embeddings/{encoder}/{dataset}/seed{seed}/part-{number:04d}.h5"
        for number, units in enumerate(parts)
        if split in ("", units[0].split)
    ]


def train_embeddings(wildcards) -> list[str]:
    """Embeddings of the training images, by the encoder that the rule names, or by that of its bank."""
    encoder = wildcards.encoder if "encoder" in wildcards.keys() else STUDY.banks[wildcards.bank].encoder
    return embedding_parts(encoder, TRAINED_ON, wildcards.seed, "train")


def features_folder(dataset: str, encoder: str, seed: str) -> str:
    """Folder of a data set's features, with one file per slide."""
    return f"{RUN}/features/{encoder}/{dataset}/seed{seed}"


def encoder_folder(encoder: str, seed: str) -> str:
    """Folder of an encoder, trained by this study or external."""
    return f"{RUN}/encoders/{encoder}/seed{seed}"


def bank_shards(bank: str, seed: str) -> list[str]:
    """All files of a bank."""
    return [
        f"{RUN}/bank/{bank}/seed{seed}/{kind}-{shard:04d}.h5"
        for kind in ("generative", "interpolated")
        for shard in range(STUDY.banks[bank].shards)
    ]


def filter_shards(bank: str, seed: str) -> list[str]:
    """Filter files of all shards of a bank; none if the bank has no filter."""
    shards = bank_shards(bank, seed) if STUDY.banks[bank].filter else []
    return [os.path.join(os.path.dirname(path), "filter", os.path.basename(path)) for path in shards]


def banks_with_seeds() -> list[tuple[str, int]]:
    """Name and seed of every bank."""
    return [(bank, seed) for bank in STUDY.banks for seed in STUDY.bank_seeds(bank)]


def evaluation_tasks(dataset: str) -> list[str]:
    """Tasks that encoders are evaluated with on a data set."""
    settings = STUDY.evaluation
    return [*settings.image_tasks, *(settings.slide_tasks if dataset in LABELLED_SLIDES else [])]


def evaluations() -> list[str]:
    """All evaluation files of the study."""
    return [
        f"{RUN}/evaluation/{encoder}/{dataset}/seed{seed}/{task}.json"
        for encoder in (*ALL_ENCODERS, *BASELINES)
        for dataset in EVALUATED
        for seed in STUDY.seeds
        for task in evaluation_tasks(dataset)
    ]
