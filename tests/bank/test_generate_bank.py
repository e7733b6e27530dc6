"""The three scripts in the order of the workflow: autoencoder, latent diffusion model, bank."""

import argparse
import json
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from tests.diffusion.tiny import CPU, HELD, UNET, open_pixels, run_script, write_dataset, write_features

import generate_bank
from gensis.artifacts.files import read_json
from gensis.artifacts.tables import read_table
from gensis.bank.blocks import stored_once
from gensis.diffusion.autoencoder import load_autoencoder
from gensis.diffusion.inputs import latents_of
from gensis.diffusion.loading import load_pipeline
from gensis.diffusion.trainer import DiffusionTrainer
from gensis.images.codec import PNG, decode
from gensis.images.features import Features
from gensis.images.index import read_index
from gensis.images.store import Store
from gensis.settings.diffusion import Diffusion
from gensis.ssl.bank_images import open_bank
from gensis.training.checkpoints import CheckpointFolder
from gensis.training.distributed import World
from gensis.training.loop import train

IMAGES, PX, WIDTH = 10, 16, 6
AUTOENCODER = {"image_px": PX, "channels": [8, 8], "latent_channels": 2, "steps": 3, "batch_size": 4} | {
    "perceptual_weight": 0
}
DIFFUSION = {"image_px": PX, **UNET, "steps": 3, "batch_size": 4}
BANK = {"encoder": "dino", "variants": 2, "guidance": 1.5, "sampling_steps": 2, "alphas": {"uniform": [0.3, 0.7]}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    train = write_dataset(folder / "images", IMAGES, PX, units=2)
    features = write_features(folder / "part-0000.h5", train, WIDTH)
    training = ("--train", train, "--checkpoints", folder / "checkpoints", "--runtime", "{}", "--seed", 0, "--gpus", 0)
    run_script("train_autoencoder", *training, "--config", json.dumps(AUTOENCODER), "--output", folder / "autoencoder")
    diffusion = (
        *("--config", json.dumps(DIFFUSION), "--embeddings", features, "--autoencoder", folder / "autoencoder"),
        *("--output", folder / "diffusion"),
    )
    run_script("train_diffusion", *training, *diffusion)
    given = SimpleNamespace(folder=folder, train=train, features=features, training=training, diffusion=diffusion)
    for shards in (1, 3):
        for shard in range(shards):
            generate(given, BANK, shard, shards, folder / f"bank-{shards}")
    return given


def generate(made, config, shard, shards, bank, *more, status=0):
    return run_script(
        "generate_bank",
        *("--config", json.dumps(config), "--train", made.train, "--embeddings", made.features, "--seed", 9),
        *("--diffusion", made.folder / "diffusion", "--shard", shard, "--shards", shards),
        *("--checkpoints", made.folder / "checkpoints"),
        *("--generative", bank / f"generative-{shard:04d}.h5"),
        *("--interpolated", bank / f"interpolated-{shard:04d}.h5", *more),
        status=status,
    )


def images_of(bank, kind):
    images = []
    for path in sorted(bank.glob(f"{kind}-*.h5")):
        with Store(path) as store:
            images += store.read(0, len(store))
    return images


def test_autoencoder_folder_is_complete(made):
    folder = made.folder / "autoencoder"
    assert AutoencoderKL.from_pretrained(folder, low_cpu_mem_usage=False).config.scaling_factor != 1
    assert read_json(folder / "provenance.json")["format"] == "gensis-autoencoder/1"
    assert float(read_table(folder / "history.csv", ",")[-1]["loss"]) > 0


def test_diffusion_folder_is_complete(made):
    folder = made.folder / "diffusion"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "model_index.json",
        "pipeline.py",
        "history.csv",
        "reconstructions.png",
        "provenance.json",
        "scheduler/scheduler_config.json",
        *(
            f"{part}/{name}"
            for part in ("denoiser", "vae")
            for name in ("config.json", "diffusion_pytorch_model.safetensors")
        ),
    }
    record = read_json(folder / "provenance.json")
    assert record["format"] == "gensis-diffusion/1"
    assert (record["embedding_width"], record["image_px"], record["external_weights"]) == (WIDTH, PX, {})
    assert set(record["inputs"]) == {"train", "embeddings", "autoencoder"}


def test_a_finished_training_is_published_again(made):
    log = run_script("train_diffusion", *made.training, *made.diffusion[:-1], made.folder / "again")
    assert "published again" in log
    first, again = (read_json(made.folder / name / "provenance.json") for name in ("diffusion", "again"))
    assert first == again


@pytest.mark.parametrize("kind", ["generative", "interpolated"])
def test_number_of_shards_changes_no_byte_of_an_image(made, kind):
    whole = images_of(made.folder / "bank-1", kind)
    assert len(whole) == IMAGES * (2 if kind == "generative" else 1)
    assert whole == images_of(made.folder / "bank-3", kind)
    assert all(image.startswith(PNG) and decode(image).shape == (PX, PX, 3) for image in whole)


def test_superfluous_shards_of_an_earlier_bank_are_removed(made, tmp_path):
    for shards in (3, 2):
        for shard in range(shards):
            generate(made, BANK, shard, shards, tmp_path)
    names = {f"{kind}-{shard:04d}.h5" for kind in ("generative", "interpolated") for shard in range(2)}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert images_of(tmp_path, "generative") == images_of(made.folder / "bank-1", "generative")


def test_a_killed_shard_resumes_to_the_same_bytes(made, tmp_path):
    in_blocks = ("--runtime", json.dumps({"checkpoint_seconds": 0, "inference_batch_size": 4}))
    generate(made, BANK, 0, 1, tmp_path / "whole", *in_blocks)
    kept = ("--checkpoints", tmp_path / "checkpoints")
    (tmp_path / "no-folder").touch()  # the job fails after the generative images, before the interpolated ones
    lost = ("--interpolated", tmp_path / "no-folder" / "interpolated-0000.h5")
    generate(made, BANK, 0, 1, tmp_path / "killed", *in_blocks, *kept, *lost, status=1)
    blocks = sorted((tmp_path / "checkpoints").rglob("*.npz"))
    assert len(blocks) == 5
    for block in blocks[3:]:
        block.unlink()
    log = generate(made, BANK, 0, 1, tmp_path / "killed", *in_blocks, *kept)
    assert "resuming at generative image 12 of 20" in log
    for kind in ("generative", "interpolated"):
        assert images_of(tmp_path / "killed", kind) == images_of(tmp_path / "whole", kind)


def test_blocks_of_another_device_batch_size_or_shard_are_not_resumed(tmp_path):
    arguments = argparse.Namespace(config={}, seed=0, generative=tmp_path / "a.h5", checkpoints=tmp_path)
    base = {"sources": range(4), "batch_size": 4, "device": torch.device("cpu")}
    changes = [{}, {"device": torch.device("cuda")}, {"batch_size": 2}, {"sources": range(4, 8)}]
    folders = [generate_bank.checkpoint_folder(arguments, {"train": "x"}, **base | change) for change in changes]
    assert len(set(folders)) == 4
    assert generate_bank.checkpoint_folder(arguments, {"train": "x"}, **base) == folders[0]


def test_images_toward_neighbours_resume_with_the_same_plan(made, tmp_path):
    config = BANK | {"toward_neighbour": {"share": 0.25, "neighbours": 3}}
    in_blocks = ("--runtime", json.dumps({"checkpoint_seconds": 0, "inference_batch_size": 4}))
    generate(made, config, 0, 1, tmp_path / "whole", *in_blocks)
    kept = ("--checkpoints", tmp_path / "checkpoints")
    (tmp_path / "no-folder").touch()
    lost = ("--interpolated", tmp_path / "no-folder" / "interpolated-0000.h5")
    generate(made, config, 0, 1, tmp_path / "killed", *in_blocks, *kept, *lost, status=1)
    generate(made, config, 0, 1, tmp_path / "killed", *in_blocks, *kept)
    assert not list((tmp_path / "checkpoints").rglob("*.np*"))
    with (
        h5py.File(tmp_path / "whole/generative-0000.h5") as whole,
        h5py.File(tmp_path / "killed/generative-0000.h5") as killed,
        h5py.File(made.folder / "bank-1/generative-0000.h5") as plain,
    ):
        assert whole.attrs["content"] == killed.attrs["content"]
        assert whole.attrs["neighbours"] == 3
        assert "neighbours" not in plain.attrs
        assert whole["seed"][:].tolist() == plain["seed"][:].tolist()
        assert set(whole["alpha"][:].tolist()) == {0.75}
        source, partner = whole["source"][:], whole["partner"][:]
    with h5py.File(made.features) as file:
        features = file["features"][:] / np.linalg.norm(file["features"][:], axis=1, keepdims=True)
    ranked = np.argsort(-(features @ features.T) + 3 * np.eye(IMAGES), axis=1)[:, :3]
    assert all(row in ranked[of] for of, row in zip(source, partner))
    assert images_of(tmp_path / "whole", "interpolated") == images_of(made.folder / "bank-1", "interpolated")


def test_neighbours_of_a_killed_job_are_not_searched_again(tmp_path):
    path = tmp_path / "folder/neighbours.npy"
    assert stored_once(path, lambda: np.arange(3)).tolist() == [0, 1, 2]
    assert stored_once(path, lambda: np.arange(5)).tolist() == [0, 1, 2]
    path.write_bytes(path.read_bytes()[:20])
    assert stored_once(path, lambda: np.arange(5)).tolist() == [0, 1, 2, 3, 4]


def test_a_store_has_the_documented_columns_and_attributes(made):
    with h5py.File(made.folder / "bank-1" / "interpolated-0000.h5") as file:
        assert file.attrs["kind"] == "interpolated"
        assert (file.attrs["bank_seed"], file.attrs["guidance"], file.attrs["sampling_steps"]) == (9, 1.5, 2)
        assert file.attrs["image_px"] == PX
        record = json.loads(file.attrs["provenance"])
        assert record["format"] == "gensis-bank/1"
        assert record["inputs"]["diffusion"] == read_json(made.folder / "diffusion" / "provenance.json")["weights"]
        assert {"source", "partner", "alpha", "variant", "seed"} < set(file)
        assert np.all((file["alpha"][:] >= 0.3) & (file["alpha"][:] <= 0.7))


def test_a_bank_opens_with_the_images_of_each_source(made):
    bank = open_bank(made.folder / "bank-3", "generative", sources=IMAGES, open_images=HELD)
    assert bank.first.diff().tolist() == [2] * IMAGES
    assert bank.images.shape == (3, PX, PX)


def test_kinds_without_images_give_empty_stores(made, tmp_path):
    generate(made, BANK | {"variants": 0}, 0, 1, tmp_path)
    with Store(tmp_path / "generative-0000.h5") as store:
        assert len(store) == 0
        assert store.column("seed").dtype == np.int64
    assert open_bank(tmp_path, "generative", sources=IMAGES, open_images=HELD) is None
    assert len(open_bank(tmp_path, "interpolated", sources=IMAGES, open_images=HELD).images) == IMAGES


def test_embeddings_of_other_images_or_encoders_are_refused_in_one_line(made, tmp_path):
    other = write_dataset(tmp_path / "other", 4, PX)
    log = generate(
        made, BANK, 0, 1, tmp_path, "--embeddings", write_features(tmp_path / "other.h5", other, WIDTH), status=1
    )
    assert log.splitlines()[-1].startswith("error: there are embeddings of 4 of the 5 images of train-0000")
    wide = write_features(tmp_path / "wide.h5", made.train, WIDTH + 1)
    log = generate(made, BANK, 0, 1, tmp_path, "--embeddings", wide, status=1)
    assert "expects embeddings of dimension 6, not 7" in log.splitlines()[-1]
    assert not list(tmp_path.glob("*-0000.h5"))


def test_the_average_of_the_weights_is_published(made, tmp_path):
    inputs = latents_of(open_pixels(made.train, PX), load_autoencoder(made.folder / "autoencoder", CPU), 1.0)
    features = Features(read_index(made.train), [made.features])
    trainer = DiffusionTrainer(Diffusion(**DIFFUSION), inputs, features, device=CPU, world=World(), seed=0)
    with CheckpointFolder(tmp_path, "diffusion", "a") as checkpoints:
        train(trainer, checkpoints, World(), CPU, seed=0, checkpoint_seconds=1e9)
    published = load_pipeline(made.folder / "diffusion", WIDTH, CPU).denoiser.state_dict()
    for name, weight in trainer.average.state_dict().items():
        torch.testing.assert_close(published[name], weight, atol=1e-5, rtol=1e-4)
    last = trainer.denoiser.state_dict()
    assert max((published[name] - last[name]).abs().max() for name in last) > 1e-4
