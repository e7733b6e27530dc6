"""hs2p with the reader `tifffile`, its fastest for tiled TIFF, which it never selects by itself."""

from functools import partial

from slides import serve_tiling
from with_hs2p import tile

if __name__ == "__main__":
    serve_tiling(partial(tile, backend="tifffile"))
