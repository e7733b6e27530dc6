"""The JSON schema of a configuration file."""

from typing import Any

from gensis.settings.study import Study


def schema() -> dict[str, Any]:
    """JSON schema of a configuration file, for editors and for config/schema.json."""
    document = Study.model_json_schema(mode="validation")
    # A retraining arm inherits missing keys from `pretraining`.
    del document["$defs"]["Retraining"]["required"]
    return document | {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Gen-SIS study"}
