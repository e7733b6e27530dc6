"""Targets: further columns of a sheet of slides, each of which is predicted by tasks of its own."""

import math
from collections.abc import Mapping
from typing import Literal

from gensis.settings.base import Settings

Kind = Literal["classification", "survival", "regression"]


class Survival(Settings):
    """Survival: the target's column is the time to the event, or to the end of observation."""

    event: str
    """Column that is 1 if the event (death, relapse) happened at that time, and 0 if observation ended before it."""


class SurvivalTarget(Settings):
    """A target whose column is a time."""

    survival: Survival
    """How the time ended."""


Target = Literal["classification", "regression"] | SurvivalTarget


def kind_of(target: Target) -> Kind:
    """What kind of tasks predict a target."""
    return "survival" if isinstance(target, SurvivalTarget) else target


def columns_of(targets: Mapping[str, Target]) -> tuple[str, ...]:
    """The columns that targets are read from, by their standard names."""
    return tuple(targets) + tuple(
        dict.fromkeys(target.survival.event for target in targets.values() if isinstance(target, SurvivalTarget))
    )


def label_of(name: str, target: Target, cells: Mapping[str, str]) -> str:
    """A line's label for a target, empty if it has none.

    It is a class, a number, or a time, followed by `+` if the event was not observed, as R writes it: `31.5+`.

    Args:
        name: name of the target, which is that of its column.
        target: its kind.
        cells: standard name -> cell.

    Raises:
        ValueError: a cell is not a number, a time is negative, or an event is neither 0 nor 1.
    """
    value = cells[name]
    if target == "classification" or not value:
        return value
    number = _number(name, value)
    if target == "regression":
        return value
    if number < 0:
        raise ValueError(f"{name} '{value}' is negative: write the time from diagnosis or treatment on")
    event = cells[target.survival.event]
    if event not in ("", "0", "1"):
        raise ValueError(f"{target.survival.event} '{event}' is not 0 or 1: write 1 if the event was observed, else 0")
    return {"": "", "0": f"{value}+", "1": value}[event]


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} '{value}' is not a number: write one, such as 31.5, or leave the cell empty")
    return number
