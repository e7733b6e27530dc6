"""Show a finished run on one page: an HTML file that needs no network."""

import argparse
import logging
from pathlib import Path

from gensis import command
from gensis.artifacts.files import write_text
from gensis.figures.page import page
from gensis.figures.run import Run

log = logging.getLogger("write_report")


def main(arguments: argparse.Namespace) -> None:
    """Read the run and write the page."""
    html = page(Run(arguments.run_folder, arguments.images_folder), arguments.threads)
    write_text(arguments.output, html)
    log.info("%s: %.1f MB", arguments.output, len(html.encode()) / 1e6)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--run-folder", type=Path, required=True, help="results/<run>")
    parser.add_argument("--images-folder", type=Path, required=True, help="results/images")
    parser.add_argument("--output", type=Path, required=True, help="report.html")
    command.run(main, parser.parse_args())
