"""The image store and its index: one HDF5 file of encoded images per slide or shard."""
