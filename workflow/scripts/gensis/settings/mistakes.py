"""Errors of pydantic as one line about the user's file."""

from typing import Any

from pydantic import BaseModel, ValidationError

from gensis.settings.key_names import similar_key
from gensis.settings.methods import METHODS
from gensis.settings.tasks import TASKS

# Key that says what a section is about -> its values.
CHOICES = {
    "kind": ("slides", "files", "folder", "torchvision", "hdf5", "pcam"),
    "task": tuple(name for name, task in TASKS.items() if task.level == "benchmark"),
}
_OF_SLIDES = "{kind: slides, sheet: slides.csv}"
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
    "Ramp": "{start: 0, end: 1}",
    "UniformAlphas": "{uniform: [0.3, 0.7]}",
}
# The same about lists of a fixed length.
LISTS = {
    "global_scale": "[0.4, 1]",
    "local_scale": "[0.05, 0.4]",
    "blur": "[1, 0.1, 0.5]",
    "weight_decay": "[0.04, 0.4]",
    "guidance_interval": "[0, 1]",
    "uniform": "[0.3, 0.7]",
    "alphas": "[0.5]",
}


def first_mistake(error: ValidationError, values: Any, model: type[BaseModel]) -> str:
    """The first error in the parsed YAML, where it is and what to do.

    Args:
        error: the errors.
        values: the parsed YAML.
        model: the settings that it was to become.
    """
    of_key = _forms(error.errors(), values)
    mistake = of_key[0]
    where = _where(mistake, values)
    if mistake["type"] == "extra_forbidden":
        return f"config: unknown key {where}: {_about_unknown(where, mistake, model)}"
    if len(of_key) > 1:
        given = mistake["input"]
        return f"config: {where}{_given(given)}: must be {' or '.join(_form(each) for each in of_key)}"
    if mistake["type"] == "missing":
        return f"config: {where} is missing: add it (config/schema.json describes it)"
    if mistake["type"].startswith("union_tag"):
        key = mistake["ctx"]["discriminator"].strip("'")
        return f"config: {where}: `{key}` must be one of {', '.join(CHOICES[key])}"
    if mistake["type"] in ("model_type", "dict_type"):
        example = _example(mistake)
        advice = f", such as {example}" if example else ": write {} for the defaults"
        return f"config: {where} must contain keys{advice}"
    if mistake["type"] == "model_attributes_type":
        example = "{task: copy-detection, path: folder}" if "benchmarks" in mistake["loc"] else _OF_SLIDES
        return f"config: {where} must contain keys, such as {example}"
    message = _message(mistake)
    return f"config: {where}{_given(mistake['input'])}: {message}" if where else f"config: {message}"


def _forms(mistakes: list[Any], values: Any) -> list[Any]:
    """The first error, and those of the other forms that its key may have. If the user chose one of the forms, which
    an error inside it shows, only that error."""
    first = _where(mistakes[0], values)
    same = [each for each in mistakes if f"{_where(each, values)}.".startswith(f"{first}.")] if first else []
    inside = [each for each in same if _where(each, values) != first or each["type"] == "value_error"]
    return inside[:1] or same or mistakes[:1]


def _form(mistake: Any) -> str:
    """What a key must be in one of its forms."""
    if mistake["type"] == "literal_error":
        return mistake["ctx"]["expected"]
    if mistake["type"] in ("model_type", "dict_type"):
        return ", such as ".join(filter(None, ("keys", _example(mistake))))
    if mistake["type"] == "tuple_type":
        return ", such as ".join(filter(None, ("a list", _example(mistake))))
    return _message(mistake).removeprefix("input should be ").removeprefix("must be ").partition(", unable to")[0]


def _message(mistake: Any) -> str:
    """What pydantic says, in terms of YAML."""
    if mistake["type"] == "too_short":
        least = mistake["ctx"]["min_length"]
        return f"must have at least {least} item{'s' if least > 1 else ''}"
    if mistake["type"] == "tuple_type":
        if example := _example(mistake):
            return f"must be a list, such as {example}"
        single = mistake["input"] if isinstance(mistake["input"], str | int | float) else None
        return "must be a list" if single is None else f"must be a list: write [{single}]"
    message = mistake["msg"].removeprefix("Value error, ")
    return f"{message[0].lower()}{message[1:]}"


def _example(mistake: Any) -> str | None:
    """An example of what a section or list may be; pydantic's location may end with the name of a form."""
    names = [mistake.get("ctx", {}).get("class_name"), *reversed(mistake["loc"])][:3]
    examples = LISTS if mistake["type"] == "tuple_type" else EXAMPLES
    return next((examples[name] for name in names if name in examples), None)


def _about_unknown(where: str, mistake: Any, model: type[BaseModel]) -> str:
    section, _, key = where.rpartition(".")
    if of := [name for name, method in METHODS.items() if key in method.keys.model_fields]:
        return f"it is a key of {of[0]}: write {section}.{of[0]}.{key}"
    similar = similar_key(model, mistake["loc"])
    meant = f"did you mean '{similar}'? " if similar else ""
    return f"{meant}correct or remove it (config/schema.json lists all keys)"


def _given(value: Any) -> str:
    return "" if isinstance(value, dict) and value else f" = {str(value)[:60]}"


def _where(mistake: Any, values: Any) -> str:
    return _place(mistake["loc"], values, missing=mistake["type"] == "missing")


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
