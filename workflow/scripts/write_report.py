"""Write the report of a finished run: one HTML file that needs no network, and the table of costs."""

import argparse
import logging
import os
from pathlib import Path

from gensis import command
from gensis.artifacts.files import content_id, write_json, write_text
from gensis.artifacts.provenance import provenance
from gensis.artifacts.tables import write_table
from gensis.figures import arm_cost, embedding_costs
from gensis.figures.job_costs import read_costs
from gensis.figures.page import page
from gensis.figures.run import Run

FORMAT = "gensis-report/1"
log = logging.getLogger("write_report")


def main(arguments: argparse.Namespace) -> None:
    """Read the run and write the page."""
    run = Run(arguments.run_folder, arguments.images_folder)
    html = page(run, arguments.threads)
    write_costs(run, arguments.costs)
    write_text(arguments.output, html)
    write_record(arguments)
    log.info("%s: %.1f MB", arguments.output, len(html.encode()) / 1e6)


def write_costs(run: Run, path: Path) -> None:
    """Write costs.csv: compute of trainings, or costs of use if nothing was trained."""
    costs = read_costs(run)
    if run.study.pretraining:
        columns, rows = arm_cost.COLUMNS, arm_cost.csv_rows(run, costs)
    else:
        columns = embedding_costs.COLUMNS
        rows = embedding_costs.csv_rows(embedding_costs.embedding_costs(run, costs))
    write_table(path, columns, rows, delimiter=",")


def write_record(arguments: argparse.Namespace) -> None:
    """Write `provenance.json`: content ids of page and table, which cannot hold their own, and of the files shown."""
    results = arguments.run_folder.parent
    inputs = {os.path.relpath(path, results): content_id(path) for path in arguments.shown}
    record = provenance(FORMAT, settings={}, inputs=inputs, seed=None, device="cpu", started=arguments.started)
    files = {path.name: content_id(path) for path in (arguments.output, arguments.costs)}
    write_json(arguments.output.with_name("provenance.json"), record | {"files": files})


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--run-folder", type=Path, required=True, help="results/<run>")
    parser.add_argument("--images-folder", type=Path, required=True, help="results/images")
    parser.add_argument("--shown", type=Path, nargs="*", default=[], help="files that the page shows")
    parser.add_argument("--costs", type=Path, required=True, help="costs.csv to write")
    parser.add_argument("--output", type=Path, required=True, help="report.html")
    command.run(main, parser.parse_args())
