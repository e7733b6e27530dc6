"""config/backbones.txt and the pinned timm agree; run as a program, this file writes it anew."""

from pathlib import Path

BACKBONES = Path(__file__).parents[2] / "config" / "backbones.txt"


def names_in_timm() -> list[str]:
    import timm

    return sorted(timm.list_models())


def test_backbones_are_those_of_the_pinned_timm():
    fix = "run `python tests/settings/test_backbones.py`"
    assert BACKBONES.read_text().splitlines() == names_in_timm(), fix


if __name__ == "__main__":
    BACKBONES.write_text("\n".join(names_in_timm()) + "\n")
