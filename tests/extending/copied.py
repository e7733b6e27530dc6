"""A copy of the scripts to which a test adds one file and one line of a registry, as docs/extending.md tells users."""

import shutil
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
EXAMPLES = Path(__file__).parent


def extended(target: Path, example: str, folder: str, registry: str, after: str, line: str) -> Path:
    """Copy the scripts and add an example.

    Args:
        target: where to copy to; it must not exist.
        example: name of the example's file in this folder.
        folder: where its file goes, relative to the scripts.
        registry: file of the registry, relative to the scripts.
        after: the part of the registry after which the new line is inserted; it occurs once.
        line: the new line.

    Returns:
        ``target``.
    """
    shutil.copytree(SCRIPTS, target, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(EXAMPLES / example, target / folder / example)
    text = (target / registry).read_text()
    assert text.count(after) == 1, f"{registry} has {text.count(after)} x {after!r}"
    (target / registry).write_text(text.replace(after, f"{after}{line}\n"))
    return target
