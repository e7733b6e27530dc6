"""Store a study's resolved settings, with all defaults filled in, as YAML."""

import argparse
from pathlib import Path

import yaml

from gensis import command
from gensis.artifacts.files import write_text


def main(arguments: argparse.Namespace) -> None:
    """Write `config.yaml`."""
    write_text(arguments.output, yaml.safe_dump(arguments.config, sort_keys=False, allow_unicode=True))


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--output", type=Path, required=True)
    command.run(main, parser.parse_args())
