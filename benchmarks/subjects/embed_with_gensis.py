"""This pipeline's rule `embed_images`, from image stores and a trained encoder to a file of embeddings."""

import argparse
import time
from pathlib import Path

import h5py
from packed import stores
from worker import Work, serve

import embed_images
from gensis.settings.runtime import Runtime


def prepare(order: dict) -> Work:
    """No state is kept between repeats; one repeat is the warm-up."""
    paths = stores(order["index"])

    def work(folder: Path) -> int:
        output = folder / "embeddings.h5"
        embed_images.main(
            argparse.Namespace(
                config={},
                runtime=Runtime(inference_batch_size=order["batch"]),
                images=paths[0].parent,
                units=[path.stem for path in paths],
                encoder=Path(order["encoder"]),
                random=None,
                pixels=False,
                corruption=None,
                last_blocks=None,
                output=output,
                seed=0,
                gpus=0,
                threads=order["threads"],
                started=time.time(),
            )
        )
        with h5py.File(output) as file:
            return len(file["features"])

    work(Path(order["folder"]))
    return work


serve(prepare)
