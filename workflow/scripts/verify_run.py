"""Check a finished run: no file is missing or damaged, and all files were made from each other."""

import argparse
import logging

from gensis import command
from gensis.errors import UserError
from gensis.settings.study import load_study
from gensis.verification.study import verify

log = logging.getLogger("verify_run")


def main(arguments: argparse.Namespace) -> None:
    """Report every problem; fail if there is one."""
    problems = verify(load_study(arguments.config), arguments.run_folder, arguments.images_folder)
    for problem in problems:
        log.error("%s", problem)
    if problems:
        files = f"{len(problems)} file{'s' if len(problems) > 1 else ''}"
        raise UserError(f"{arguments.run_folder}: {files} with problems, listed above: delete them and run again")
    log.info("%s: all files are complete and consistent", arguments.run_folder)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--run-folder", type=command.existing_folder, required=True)
    parser.add_argument("--images-folder", type=command.existing_folder, required=True)
    command.run(main, parser.parse_args())
