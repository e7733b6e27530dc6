"""hs2p with the reader that it never picks by itself, and that is its fastest for tiled TIFF."""

from functools import partial

from with_hs2p import tile
from worker import serve

if __name__ == "__main__":
    serve(partial(tile, backend="tifffile"))
