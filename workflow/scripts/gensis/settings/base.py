"""Base class and types of all settings, and the canonical JSON that decides what reruns."""

import json
import os
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SerializationInfo, model_serializer

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def checked_name(name: str) -> str:
    """Return ``name`` if it can be used in a path and as a Snakemake wildcard, else raise ValueError."""
    if not NAME_PATTERN.fullmatch(name):
        raise ValueError(
            f"'{name}' is not a valid name: use letters, digits, '.', '_' and '-', starting with a letter or digit"
        )
    return name


def checked_path(path: str) -> str:
    """Return ``path`` with `~` and `$VARIABLE` expanded; refuse braces, which Snakemake would read as wildcards."""
    path = os.path.expanduser(os.path.expandvars(path))
    if unset := re.search(r"\$\{?(\w+)", path):
        raise ValueError(f"path '{path}': the environment variable ${unset[1]} is not set: set it")
    if "{" in path or "}" in path:
        raise ValueError(f"path '{path}' contains a brace, a wildcard in Snakemake: rename the file or folder")
    return path


Name = Annotated[str, AfterValidator(checked_name)]
Path = Annotated[str, AfterValidator(checked_path)]
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
SEEDS = 2**32
"""Seeds are smaller than this: torch's CPU generator reads 32 bits, so larger seeds could draw the same numbers."""
Seed = Annotated[int, Field(ge=0, lt=SEEDS)]


def added(neutral: Any, **constraints: Any) -> Any:
    """A field added in a later release, with the value at which results are as before.

    While the field equals ``neutral`` it is left out of the canonical JSON, so that an update of the pipeline
    reruns no training.
    """
    return Field(default=neutral, json_schema_extra={"neutral": neutral}, **constraints)


EVERY_DEFAULT = {"every_default": True}
"""Context of `model_dump` that writes fields made with `added` even if they are neutral."""


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused, values cannot change after validation."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )

    @model_serializer(mode="wrap")
    def _without_neutral_values(self, handler: Any, info: SerializationInfo) -> dict[str, Any]:
        values = handler(self)
        if info.context == EVERY_DEFAULT:
            return values
        for name, field in type(self).model_fields.items():
            extra = field.json_schema_extra
            added_later = isinstance(extra, dict) and "neutral" in extra and name in values
            if added_later and values[name] == extra["neutral"]:
                del values[name]
        return values


def laid_over(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``values`` updated with ``changes``, key by key at every depth, as Snakemake merges configs.

    A list, a number or null replaces the previous value.
    """
    merged = dict(values)
    for key, change in changes.items():
        both = isinstance(change, dict) and isinstance(merged.get(key), dict)
        merged[key] = laid_over(merged[key], change) if both else change
    return merged


def canonical_json(
    settings: Settings, without: frozenset[str] = frozenset(), only: frozenset[str] | None = None, **beside: Any
) -> str:
    """The settings as JSON with sorted keys: equal strings mean equal settings.

    Args:
        settings: validated settings, defaults filled in.
        without: top-level keys that do not change the results of the stage.
        only: top-level keys that do; None: all others.
        beside: plain values of other sections that the stage depends on, added at the top level.
    """
    values = {
        key: value
        for key, value in settings.model_dump(mode="json").items()
        if key not in without and (only is None or key in only)
    }
    return json.dumps(values | beside, sort_keys=True, separators=(",", ":"))
