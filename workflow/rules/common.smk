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
from gensis.artifacts.files import quick_id, read_json
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
from gensis.settings.units import Unit, Units, digest, list_units
from gensis.slides.slide_files import slide_files
from gensis.ssl import RECIPE as ENCODER_RECIPE

# Planning makes millions of objects that stay, and next to no garbage: looking for it less often saves a seventh.
gc.set_threshold(1_000_000, 50, 50)

DEMO_FOLDER = os.path.join(workflow.basedir, "resources", "demo")


def from_here(path: str) -> str:
    """A path of the config: relative to the working directory, or else to this repository."""
    beside = os.path.join(workflow.basedir, path)
    return beside if not os.path.exists(path) and os.path.exists(beside) else path


def relative(path: str) -> str:
    """The path relative to the working directory where it lies inside, so that a moved clone reruns nothing."""
    inside = os.path.relpath(path)
    return path if inside.startswith("..") else inside


def is_drawn(path: str) -> bool:
    """Whether a rule draws this slide (the demo's)."""
    return os.path.dirname(os.path.abspath(path)) == DEMO_FOLDER and path.endswith(".tiff")


def read_config() -> tuple[Study, dict[str, Units]]:
    """The validated study and the units of every data set that it uses. Ends with one line at a mistake."""
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
    """Where a data set's sheet lies; None if it has none."""
    settings = study.datasets[dataset]
    return Path(relative(from_here(settings.sheet))) if hasattr(settings, "sheet") else None


STUDY, UNITS = read_config()
RUN = f"results/{STUDY.run}"
IMAGES = "results/images"
# Beside Snakemake's record of the params that it is compared with.
CONTENTS = Contents(Path(".snakemake", "contents.tsv"))
TRAINED_ON = STUDY.pretraining.dataset if STUDY.pretraining else None
ENCODERS = ("dino", *STUDY.retraining) if STUDY.pretraining else ()
ALL_ENCODERS = (*ENCODERS, *STUDY.encoders)
BASELINES = ("random", "pixels") if STUDY.pretraining else ("pixels",)
SLIDE_DATASETS = [name for name in UNITS if STUDY.datasets[name].kind == "slides"]
SLIDES = {(name, unit.name): unit for name in SLIDE_DATASETS for unit in UNITS[name].units}
NATURAL_DATASETS = [name for name in UNITS if name not in SLIDE_DATASETS]
# Whole slides are only compared where they have labels: annotations label tiles.
LABELLED_SLIDES = [name for name in SLIDE_DATASETS if any(unit.row.label for unit in UNITS[name].units)]


def has_labels(dataset: str) -> bool:
    """Whether a data set can be evaluated on; sheets say it beforehand, other sources when they are read."""
    rows = UNITS[dataset].rows
    return not rows or any(row.label or row.annotations for row in rows)


@functools.cache  # asked for by every job of evaluate_encoder
def is_learnt_from(dataset: str) -> bool:
    """Whether some of the images that a data set tests are learnt from, under whatever name."""
    learnt, tested = (
        images_of(STUDY.datasets[name], UNITS[name].rows, split)
        for name, split in ((TRAINED_ON, "train"), (dataset, tested_split(dataset)))
    )
    return in_common(learnt, tested)


@functools.cache
def tested_split(dataset: str) -> str:
    """The split whose images are tested: train, by folds, where there is no test split or none of it is labelled."""
    units = UNITS[dataset]
    if not units.rows:
        return "test" if units.has_test else "train"
    labelled_by = "annotations" if any(row.annotations for row in units.rows) else "label"
    return "test" if any(row.split == "test" and getattr(row, labelled_by) for row in units.rows) else "train"


EVALUATED = [name for name in STUDY.evaluation.datasets if has_labels(name)]
for name in set(STUDY.evaluation.datasets) - set(EVALUATED):
    print(f"{name}: its sheet has no labels, so it is not evaluated on", file=sys.stderr)


def one_of(names: list[str]) -> str:
    """Wildcard constraint: one of some names; matches nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


# Params. Those that take `output` or `resources` are derived: Snakemake does not record them, so they never rerun
# anything; the others are compared with the last run's.


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
    """The Python that runs Snakemake, or the one of the job's own environment."""
    return "python" if workflow.deployment_settings.deployment_method else sys.executable


def assign_gpus(GPUs: int) -> list[str]:
    """The beginning of a command that sees GPUs of its own, and what runs it."""
    return [interpreter(), script_of("assign_gpus"), str(GPUs), interpreter()] if GPUs else [interpreter()]


def program(name: str) -> Callable[..., str]:
    """Interpreter and script, quoted, as a derived param."""
    return lambda wildcards, output, resources: shlex.join([*assign_gpus(resources.get("gpu", 0)), script_of(name)])


def launcher(wildcards, output, resources) -> str:
    """What starts a training: Python, or torchrun with a process for each GPU, on each of a SLURM job's nodes."""
    nodes = resources.get("nodes", 1)
    GPUs = resources.get("gpu", 0) // nodes  # `gpu` is what the job has in all
    one = shlex.join(assign_gpus(GPUs))
    torchrun = f"{one} -m torch.distributed.run --nproc-per-node={max(GPUs, 1)}"
    if nodes > 1:
        meeting = '--rdzv-backend=c10d --rdzv-endpoint="$(hostname):29500" --rdzv-id="$SLURM_JOB_ID"'
        return f"srun --overlap --ntasks={nodes} --ntasks-per-node=1 {torchrun} --nnodes={nodes} {meeting}"
    return f"{torchrun} --standalone" if GPUs > 1 else one


def runtime(wildcards, output) -> str:
    """The section `runtime` as JSON."""
    return STUDY.runtime.model_dump_json()


def checkpoints(wildcards, output) -> str:
    """Root of the checkpoints, which outlive jobs."""
    return os.environ.get("GENSIS_CHECKPOINTS") or f"{RUN}/checkpoints"


def events(wildcards, output) -> str:
    """Where TensorBoard finds the curves of a training while it runs; they outlive the job."""
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
    """What became of each slide, of those data sets that are of slides."""
    return [f"{IMAGES}/{dataset}/outcomes.tsv" for dataset in datasets if dataset in SLIDE_DATASETS]


def slide_overlays() -> list[str]:
    """A picture of each slide and one of all, of each data set of slides."""
    return [f"{IMAGES}/{dataset}/{name}" for dataset in SLIDE_DATASETS for name in ("overlays", "slides.jpg")]


def slide(wildcards) -> Unit:
    """The unit of a slide job."""
    return SLIDES[wildcards.dataset, wildcards.unit]


@functools.cache  # asked for by every job of embed_images
def part_units(dataset: str) -> list[tuple[Unit, ...]]:
    """The units of each embedding part; no part holds units of two splits."""
    size = STUDY.embedding.units_per_part
    return [
        units[start : start + size]
        for units in map(UNITS[dataset].of_split, ("train", "test"))
        for start in range(0, len(units), size)
    ]


def embedding_parts(encoder: str, dataset: str, seed: str, split: str = "") -> list[str]:
    """Embedding files of a data set, or of one of its splits."""
    parts = part_units(dataset)
    return [
        f"{RUN}/embeddings/{encoder}/{dataset}/seed{seed}/part-{number:04d}.h5"
        for number, units in enumerate(parts)
        if split in ("", units[0].split)
    ]


def train_embeddings(wildcards) -> list[str]:
    """Embeddings of the training images by the encoder of a rule that names it, or of a bank's."""
    encoder = wildcards.encoder if "encoder" in wildcards.keys() else STUDY.banks[wildcards.bank].encoder
    return embedding_parts(encoder, TRAINED_ON, wildcards.seed, "train")


def features_folder(dataset: str, encoder: str, seed: str) -> str:
    """Folder of a data set's features, a file a slide."""
    return f"{RUN}/features/{encoder}/{dataset}/seed{seed}"


def encoder_folder(encoder: str, seed: str) -> str:
    """Folder of an encoder, trained here or elsewhere."""
    return f"{RUN}/encoders/{encoder}/seed{seed}"


def bank_shards(bank: str, seed: str) -> list[str]:
    """All files of a bank."""
    return [
        f"{RUN}/bank/{bank}/seed{seed}/{kind}-{shard:04d}.h5"
        for kind in ("generative", "interpolated")
        for shard in range(STUDY.banks[bank].shards)
    ]


def filter_shards(bank: str, seed: str) -> list[str]:
    """What a bank's filter keeps of all its files; nothing where it has none."""
    shards = bank_shards(bank, seed) if STUDY.banks[bank].filter else []
    return [os.path.join(os.path.dirname(path), "filter", os.path.basename(path)) for path in shards]


def banks_with_seeds() -> list[tuple[str, int]]:
    """Name and seed of every bank."""
    return [(bank, seed) for bank in STUDY.banks for seed in STUDY.bank_seeds(bank)]


def evaluation_tasks(dataset: str) -> list[str]:
    """Tasks that an encoder is measured by on a data set."""
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
