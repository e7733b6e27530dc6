"""Check a finished run: every file is there, whole, and the one that its neighbours were made from."""

import argparse
import logging

from gensis import command
from gensis.errors import UserError
from gensis.settings.study import load_study
from gensis.verification.study import verify

log = logging.getLogger("verify_run")


def main(arguments: argparse.Namespace) -> None:
    """Report every problem; end with an error if there is one."""
    problems = verify(load_study(arguments.config), arguments.run_folder, arguments.images_folder)
    for problem in problems:
        log.error("%s", problem)
    if problems:
        files = f"{len(problems)} file{'s' if len(problems) > 1 else ''}"
        raise UserError(f"{arguments.run_folder}: {files} with problems, listed above: delete them and run again")
    log.info("%s: all files are whole and fit together", arguments.run_folder)


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--run-folder", type=command.existing_folder, required=True)
    parser.add_argument("--images-folder", type=command.existing_folder, required=True)
    command.run(main, parser.parse_args())
