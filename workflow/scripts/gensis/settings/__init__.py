"""The configuration of a study: one pydantic model per stage, with the reason for each default.

Imports only the standard library, pydantic and PyYAML, so that planning a workflow stays fast.
"""

from gensis.pipeline_packages import require

require("pydantic")

from gensis.settings.stages import stage_json  # noqa: E402
from gensis.settings.study import Study, load_study  # noqa: E402

__all__ = ["Study", "load_study", "stage_json"]
