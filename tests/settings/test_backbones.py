"""config/backbones.txt lists the models of the pinned timm and our own. Run this file as a program to write it."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BACKBONES = ROOT / "config" / "backbones.txt"
sys.path.insert(0, str(ROOT / "workflow/scripts"))


def names_in_timm() -> list[str]:
    import timm

    import gensis  # noqa: F401  registers our own models

    return sorted(timm.list_models())


def test_backbones_are_those_of_the_pinned_timm_and_ours():
    fix = "run `python tests/settings/test_backbones.py`"
    assert BACKBONES.read_text().splitlines() == names_in_timm(), fix


if __name__ == "__main__":
    BACKBONES.write_text("\n".join(names_in_timm()) + "\n")
