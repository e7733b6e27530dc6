"""config/backbones.txt and the pinned timm, with our own models, agree; run as a program, this file writes it anew."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BACKBONES = ROOT / "config" / "backbones.txt"
sys.path.insert(0, str(ROOT / "workflow/scripts"))


def names_in_timm() -> list[str]:
    import timm

    import gensis  # noqa: F401  registers our own models

    return sorted(timm.list_models())


def test_backbones_are_those_of_the_pinned_timm_and_our_own():
    fix = "run `python tests/settings/test_backbones.py`"
    assert BACKBONES.read_text().splitlines() == names_in_timm(), fix


if __name__ == "__main__":
    BACKBONES.write_text("\n".join(names_in_timm()) + "\n")
