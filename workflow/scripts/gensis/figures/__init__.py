"""The report of a finished run, as one self-contained HTML file, and the overlays of slides."""

from gensis.pipeline_packages import require

require("h5py")
