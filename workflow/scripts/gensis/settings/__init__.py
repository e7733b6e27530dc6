"""The configuration of a study: one model a stage, every default with its reason.

Imports only the standard library, pydantic and PyYAML, so that planning a workflow stays fast.
"""

from gensis.settings.study import Study, load_study, stage_json

__all__ = ["Study", "load_study", "stage_json"]
