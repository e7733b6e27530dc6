# The study, and names that all rules share; no rules here.
# Imports only the standard library, pydantic and PyYAML (through gensis.settings): planning must stay fast.
import functools
import gc
import inspect
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(REPOSITORY / "workflow" / "scripts"))

from gensis.artifacts.contents import Contents
from gensis.artifacts.files import quick_id
from gensis.errors import UserError
from gensis.settings import Study, load_study, stage_json
from gensis.settings.autoencoder_training import autoencoder_files
from gensis.settings.benchmarks import Benchmark
from gensis.settings.dates import refuse_future
from gensis.settings.encoders import weight_files
from gensis.settings.other_runs import refuse_replaced_images
from gensis.settings.stages import stage_lines, stages
from gensis.settings.study import read_backbones
from gensis.settings.units import Unit, Units, list_units, refuse_no_train, refuse_transfer_of_the_same_images

# Planning creates millions of objects that stay, and hardly any garbage: fewer collections save a seventh of the time.
gc.set_threshold(1_000_000, 50, 50)

DEMO_FOLDER = str(REPOSITORY / "resources" / "demo")


def from_here(path: str) -> str:
    """Resolve a path of the config, relative to the working directory if it exists there, else to this repository."""
    in_repository = str(REPOSITORY / path)
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
        study = load_study(
            {key: config[key] for key in config if key != "rates"},
            read_backbones(REPOSITORY / "config" / "backbones.txt"),
        )
        for name, encoder in study.encoders.items():
            if encoder.path:
                study.encoders[name] = encoder = encoder.model_copy(update={"path": from_here(encoder.path)})
                weights = weight_files(Path(encoder.path))
                refuse_future({str(path): path.stat().st_mtime for path in weights})
        if study.autoencoder not in ("auto", "none", "train"):
            autoencoder_files(Path(from_here(study.autoencoder)))
        for name, dataset in study.datasets.items():
            if hasattr(dataset, "path"):
                study.datasets[name] = dataset.model_copy(update={"path": from_here(dataset.path)})
        for name, benchmark in study.evaluation.benchmarks.items():
            study.evaluation.benchmarks[name] = located(name, benchmark)
        units = {
            name: list_units(study.datasets[name], found_sheet(study, name), is_drawn) for name in study.used_datasets
        }
        refuse_no_train(study, units, [name for name in units if has_labels(units[name])])
        refuse_transfer_of_the_same_images(study, units)
        if workflow.is_main_process:
            with_masks = [name for name, found in units.items() if any(row.mask for row in found.rows)]
            for line in refuse_replaced_images(study, Path("results"), with_masks):
                print(line, file=sys.stderr)
        return study, units
    except UserError as error:
        sys.exit(f"error: {error}")


def has_labels(units: Units) -> bool:
    """Whether a data set can be evaluated on. Only a sheet shows this in advance; other sources may have labels."""
    return not units.rows or any(row.is_labelled or row.annotations for row in units.rows)


def located(name: str, benchmark: Benchmark) -> Benchmark:
    """A benchmark with the paths of its folders as they are found from here.

    Raises:
        UserError: a file or folder is missing.
    """
    folders = {key: from_here(path) for key in ("path", "distractors") if (path := getattr(benchmark, key, None))}
    found = benchmark.model_copy(update=folders)
    if missing := next((path for path in found.needed if not os.path.exists(path)), None):
        raise UserError(
            f"evaluation.benchmarks.{name}: {missing} does not exist: download the benchmark from its authors, "
            "correct `path`, or remove it"
        )
    return found


def sheet(study: Study, dataset: str) -> Path | None:
    """Path of a data set's sheet; None if it has none."""
    settings = study.datasets[dataset]
    return Path(relative(from_here(settings.sheet))) if hasattr(settings, "sheet") else None


def found_sheet(study: Study, dataset: str) -> Path | None:
    """The same, after a check that it exists.

    Raises:
        UserError: it does not.
    """
    path = sheet(study, dataset)
    try:
        if path is not None:
            os.stat(path)
    except FileNotFoundError:
        given = study.datasets[dataset].sheet
        searched = " or ".join(dict.fromkeys([os.getcwd(), str(REPOSITORY)]))
        where = "" if os.path.isabs(given) else f" in {searched}"
        raise UserError(f"datasets.{dataset}: sheet {given} does not exist{where}: correct `sheet`") from None
    except OSError:
        pass  # the reader says why it cannot be read
    return path


STUDY, UNITS = read_config()
# Rates of another machine, for the rule `plan`; not a key of the study.
RATES = from_here(config["rates"]) if "rates" in config else None
RUN = f"results/{STUDY.run}"
if workflow.modifier.path_modifier.replace_prefix(RUN) != RUN:
    sys.exit(
        "error: module: `prefix` and `replace_prefix` cannot be used: remove them, and set `run` to name the results"
    )
IMAGES = "results/images"
# Stored next to Snakemake's records of params, which contain these versions.
CONTENTS = Contents(Path(".snakemake", "contents.tsv"))
TRAINED_ON = STUDY.pretraining.dataset if STUDY.pretraining else None
BASELINE_ENCODER = STUDY.baseline
ENCODERS = STUDY.trained_encoders
ALL_ENCODERS = (*ENCODERS, *STUDY.encoders)
BASELINES = STUDY.untrained
SLIDE_DATASETS = [name for name in UNITS if STUDY.datasets[name].kind == "slides"]
SLIDES = {(name, unit.name): unit for name in SLIDE_DATASETS for unit in UNITS[name].units}
NATURAL_DATASETS = [name for name in UNITS if name not in SLIDE_DATASETS]
# Slide tasks need labels of whole slides: annotations label only tiles.
LABELLED_SLIDES = [name for name in SLIDE_DATASETS if any(row.is_labelled for row in UNITS[name].rows)]


LABELLED = [name for name in STUDY.evaluation.datasets if has_labels(UNITS[name])]
# Without a train split nothing is fitted on a data set: it is only tested by a transfer.
EVALUATED = [name for name in LABELLED if UNITS[name].of_split("train")]
# Name of the results of classifiers that are fitted on one data set and tested on another -> the tested data set.
TRANSFERRED = {
    result: tested
    for transfer in STUDY.evaluation.transfer
    for tested, result in transfer.results.items()
    if {transfer.fit, tested} <= set(LABELLED)
}
for name in set(STUDY.evaluation.datasets) - set(LABELLED):
    print(f"{name}: skipped in evaluation: its sheet has no labels", file=sys.stderr)


def one_of(names: list[str]) -> str:
    """Wildcard constraint that matches one of some names; without names, it matches nothing."""
    return "|".join(map(re.escape, names)) or "(?!)"
