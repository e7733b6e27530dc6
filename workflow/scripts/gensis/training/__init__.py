"""What all trainings share: the training loop, devices, checkpoints and resuming."""

from gensis.pipeline_packages import require

require("pydantic")
