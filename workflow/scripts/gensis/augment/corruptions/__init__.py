from gensis.pipeline_packages import require

require("scipy")
