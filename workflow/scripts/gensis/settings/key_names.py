"""Names of the keys that a section of the config may have."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel


def similar_key(model: type[BaseModel], location: Sequence[str | int]) -> str | None:
    """The key that was probably meant by an unknown one; None if none resembles it.

    Args:
        model: the settings of the whole config.
        location: where pydantic found the key; it also names members of unions.
    """
    schema = model.model_json_schema()
    sections = [schema]
    for part in location[:-1]:
        sections = [inner for section in sections for inner in _inner(section, part, schema)]
    known = [key for section in sections for each in _members(section, schema) for key in each.get("properties", {})]
    return next(iter(difflib.get_close_matches(str(location[-1]), known, n=1)), None)


def _members(section: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The alternatives of a section, with references resolved."""
    if "$ref" in section:
        yield from _members(schema["$defs"][section["$ref"].rpartition("/")[2]], schema)
    for each in [*section.get("anyOf", ()), *section.get("oneOf", ()), *section.get("allOf", ())]:
        yield from _members(each, schema)
    yield section


def _inner(section: dict[str, Any], part: str | int, schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The sections that a part of a location leads to; the name of a union's member leads to that member."""
    for each in _members(section, schema):
        keys = each.get("properties", {})
        if part in keys:
            yield keys[part]
        elif part == each.get("title") or part in [key.get("const") for key in keys.values()]:
            yield each
        elif isinstance(each.get("additionalProperties"), dict):
            yield each["additionalProperties"]
        elif isinstance(each.get("items"), dict):
            yield each["items"]
