"""hs2p with the reader that it never picks by itself, and that is its fastest for tiled TIFF."""

from functools import partial

from slides import serve_tiling
from with_hs2p import tile

if __name__ == "__main__":
    serve_tiling(partial(tile, backend="tifffile"))
