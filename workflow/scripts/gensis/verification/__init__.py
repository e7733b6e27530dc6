"""Whether a finished run is whole: the files of all stages as they lie on disk, and what they say of each other.

A file is whole if its checksum or content id, computed again from its bytes, is the one that was stored. It fits if the
inputs in its provenance are what lies beside it now, and its settings those of the study. What is compared between
files are stored ids, so that a damaged file is listed itself, and not all that was made from it.
"""
