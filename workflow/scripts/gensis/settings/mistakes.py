"""Errors of pydantic as one line about the user's file."""

from typing import Any

from pydantic import ValidationError

from gensis.settings.methods import METHODS
from gensis.settings.tasks import TASKS

# Key that says what a section is about -> its values.
CHOICES = {
    "kind": ("slides", "files", "folder", "torchvision", "hdf5", "pcam"),
    "task": tuple(name for name, task in TASKS.items() if task.level == "benchmark"),
}
# Examples for error messages about sections that cannot be empty, by key or model.
EXAMPLES = {
    "datasets": "{tiles: {kind: slides, sheet: slides.csv}}",
    "Pretraining": "{dataset: tiles}",
    "Retraining": "{bank: default}",
    "ExternalEncoder": "{path: folder}",
    "Filter": "{minimum_fidelity: 0.5}",
    "max_images": "{train: 5000}",
    "image_range": "{train: [0, 5000]}",
    "splits": "{train: .}",
    "columns": "{group: case}",
    "targets": "{age: regression}",
    "SurvivalTarget": "{survival: {event: os_event}}",
    "minimum": "{focus: 5}",
    "maximum": "{pen_fraction: 0.1}",
}


def first_mistake(error: ValidationError, values: Any) -> str:
    """The first error in the parsed YAML, where it is and what to do."""
    mistake = error.errors()[0]
    where = _place(mistake["loc"], values, missing=mistake["type"] == "missing")
    if mistake["type"] == "extra_forbidden":
        section, _, key = where.rpartition(".")
        if of := [name for name, method in METHODS.items() if key in method.keys.model_fields]:
            return f"config: unknown key {where}: it is a key of {of[0]}: write {section}.{of[0]}.{key}"
        return f"config: unknown key {where}: correct or remove it (config/schema.json lists all keys)"
    if mistake["type"] == "missing":
        return f"config: {where} is missing: add it (config/schema.json describes it)"
    if mistake["type"].startswith("union_tag"):
        key = mistake["ctx"]["discriminator"].strip("'")
        return f"config: {where}: `{key}` must be one of {', '.join(CHOICES[key])}"
    if mistake["type"] in ("model_type", "dict_type"):
        example = EXAMPLES.get(mistake.get("ctx", {}).get("class_name") or mistake["loc"][-1])
        advice = f", such as {example}" if example else ": write {} for the defaults"
        return f"config: {where} must contain keys{advice}"
    if mistake["type"] == "model_attributes_type":
        return f"config: {where} must contain keys, such as {{kind: slides, sheet: slides.csv}}"
    message = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "tuple_type":
        single = mistake["input"] if isinstance(mistake["input"], str | int | float) else None
        message = "must be a list" if single is None else f"must be a list: write [{single}]"
    if not where:
        return f"config: {message}"
    given = "" if isinstance(mistake["input"], dict) and mistake["input"] else f" = {str(mistake['input'])[:60]}"
    return f"config: {where}{given}: {message[0].lower()}{message[1:]}"


def _place(location: tuple[str | int, ...], values: Any, missing: bool) -> str:
    """Keys in the user's file that lead to an error; pydantic's location also names union members that it tried."""
    keys = []
    for part in location:
        in_list = isinstance(values, list) and isinstance(part, int) and part < len(values)
        if in_list or (isinstance(values, dict) and part in values):
            keys.append(str(part))
            values = values[part]
    if missing:
        keys.append(str(location[-1]))
    return ".".join(keys)
