"""Print the size of a study before it runs: images, passes, time, disk and memory of every stage."""

import argparse
import json
import logging
import os
import sys
from pathlib import Path

from gensis import command
from gensis.planning.calibration import calibrate
from gensis.planning.images import ImageSet, image_set
from gensis.planning.rates import Rates, read_rates, write_rates
from gensis.planning.table import lines, rows, size
from gensis.planning.trials import Bench
from gensis.planning.work import Work
from gensis.planning.works import works
from gensis.settings.study import Study, load_study
from gensis.settings.units import Units, list_units
from gensis.training.device import allow_tf32, choose_device


def main(arguments: argparse.Namespace) -> None:
    """Print the plan, by rates that are given or measured now."""
    logging.getLogger("gensis.ssl").setLevel(logging.WARNING)  # what trainings log of their settings
    study = load_study(arguments.config)
    units = {name: list_units(study.datasets[name], sheet_of(arguments, name)) for name in study.used_datasets}
    sets = {name: image_set(study.datasets[name], units[name], arguments.images_folder / name) for name in units}
    rates = read_rates(arguments.rates) if arguments.rates else measure(arguments, study, sets, units)
    gpus = max(arguments.gpus, 1) if rates.has_gpu else 0
    planned = works(study, sets, gpus)
    table = lines(rows(planned, rates, gpus))
    text = [*heading(study, sets, rates, gpus), "", *table, "", *notes(arguments, planned)]
    sys.stdout.write("\n".join(text) + "\n")


def measure(arguments: argparse.Namespace, study: Study, sets: dict[str, ImageSet], units: dict[str, Units]) -> Rates:
    """The rates of this machine, which are also written to a file."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    device = choose_device(arguments.gpus, cores)
    allow_tf32(device, study.runtime.tf32)
    ours = [study.pretraining.dataset] if study.pretraining else study.used_datasets
    first = next((name for name in ours if sets[name].train), ours[0])
    bench = Bench(study, sets[first], device, cores)
    rates = calibrate(bench, works(study, sets, arguments.gpus), sets, units)
    write_rates(arguments.output, rates)
    return rates


def sheet_of(arguments: argparse.Namespace, dataset: str) -> Path | None:
    """The sheet of a data set; None if it has none."""
    sheet = arguments.sheets.get(dataset)
    return Path(sheet) if sheet else None


def heading(study: Study, sets: dict[str, ImageSet], rates: Rates, gpus: int) -> list[str]:
    """What the plan is about."""
    images = [
        f"{name}: {each.train:,} images to train on, {each.test:,} to test, of {each.image_px} px"
        f" in {each.units:,} files{f' ({each.note})' if each.note else ''}"
        for name, each in sets.items()
    ]
    where = f"{gpus} GPU(s)" if gpus else "no GPU"
    return [f"study {study.run}, {len(study.seeds)} seed(s), on {rates.machine}, {where}", *images]


def notes(arguments: argparse.Namespace, planned: list[Work]) -> list[str]:
    """How to read the table."""
    source = arguments.rates or f"a minute of measurements, kept in {arguments.output}"
    temporary = max((work.temporary_bytes for work in planned), default=0)
    besides = f", and up to {size(temporary)} for each shard of a bank while it is generated" if temporary else ""
    return [
        f"rates: {source}",
        "time: ~ is an estimate, from another network in proportion to its arithmetic; ? was not measured, > in part",
        f"disk: without checkpoints, of which a training keeps two while it runs{besides}",
        "memory: of the largest job",
    ]


if __name__ == "__main__":
    parser = command.parser(__doc__, gpus=True)
    parser.add_argument("--images-folder", type=Path, required=True)
    parser.add_argument("--sheets", type=json.loads, default={}, help="data set -> its sheet, as JSON")
    parser.add_argument("--rates", type=Path, help="rates of another machine, instead of measuring those of this one")
    parser.add_argument("--output", type=Path, required=True, help="file to write the measured rates to")
    command.run(main, parser.parse_args())
