"""The image store and its index: encoded images in HDF5, a file a slide or a shard."""
