"""Verification of a finished run: the files of all stages must be complete, undamaged and consistent.

A file is undamaged if its checksum or content id, computed again from its bytes, equals the stored one. It is
consistent if the inputs in its provenance are the current files, and its settings are those of the study. Stored ids
are compared between files, so that only the damaged file is listed, not all files that were made from it.
"""

from gensis.pipeline_packages import require

require("h5py")
