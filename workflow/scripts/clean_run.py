"""List checkpoints and temporary files that no job needs, with their sizes; with --remove, remove them."""

import argparse
import shutil
import sys
from pathlib import Path

from gensis import command
from gensis.verification.leftovers import leftovers


def main(arguments: argparse.Namespace) -> None:
    """Print a line for each, and their total."""
    found = leftovers(
        arguments.run_folder, arguments.images_folders, arguments.checkpoints, is_trained=arguments.is_trained
    )
    sizes = [each.size_bytes for each in found]
    lines = [f"{size / 1e6:12,.1f} MB  {each.path}  ({each.why})" for each, size in zip(found, sizes)]
    if arguments.remove:
        for each in found:
            shutil.rmtree(each.path) if each.path.is_dir() else each.path.unlink()
        lines.append(f"{sum(sizes) / 1e6:12,.1f} MB  removed")
    else:
        lines.append(f"{sum(sizes) / 1e6:12,.1f} MB  in all; the target `clean_now` removes them")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--run-folder", type=Path, required=True)
    parser.add_argument("--images-folders", type=Path, nargs="*", default=[], help="folders of its data sets")
    parser.add_argument("--checkpoints", type=Path, required=True, help="root of the checkpoint folders")
    parser.add_argument("--is-trained", action="store_true", help="all models and banks of the study exist")
    parser.add_argument("--remove", action="store_true")
    command.run(main, parser.parse_args())
