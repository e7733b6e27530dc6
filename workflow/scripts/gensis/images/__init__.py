"""The image store and its index: one HDF5 file of encoded images per slide or shard."""

from gensis.pipeline_packages import require

require("h5py", "imagecodecs", "simplejpeg", "tifffile")
