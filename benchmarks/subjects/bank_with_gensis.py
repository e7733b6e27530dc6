"""This pipeline's rule `generate_bank`, from embeddings and a saved diffusion model to a store of images."""

import argparse
import time
from pathlib import Path

from worker import Work, serve

import generate_bank
from gensis.images.store import Store
from gensis.settings.runtime import Runtime


def prepare(order: dict) -> Work:
    """No state is kept between repeats; one repeat is the warm-up."""

    def work(folder: Path) -> int:
        keys = {"sampling_steps": order["steps"], "guidance": order["guidance"], "precision": order["precision"]}
        generate_bank.main(
            argparse.Namespace(
                config=keys | {"alphas": []},
                runtime=Runtime(inference_batch_size=order["batch"], compile=order["compile"]),
                train=Path(order["train"]),
                embeddings=[Path(order["embeddings"])],
                diffusion=Path(order["diffusion"]),
                shard=0,
                shards=1,
                checkpoints=folder / "checkpoints",
                generative=folder / "generative-0000.h5",
                interpolated=folder / "interpolated-0000.h5",
                seed=0,
                gpus=int(order["device"] == "cuda"),
                threads=order["threads"],
                started=time.time(),
            )
        )
        with Store(folder / "generative-0000.h5") as store:
            return len(store)

    work(Path(order["folder"]))
    return work


serve(prepare)
