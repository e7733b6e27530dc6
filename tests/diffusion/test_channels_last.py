"""Trainings with channels last in memory, as on a GPU, publish the weights that inference loads."""

import pytest
import torch
from tests.diffusion.tiny import UNET, write_dataset, write_features

import train_autoencoder
import train_diffusion
from gensis.diffusion import autoencoder, autoencoder_trainer, trainer
from gensis.diffusion.loading import load_pipeline
from gensis.training.run import training_parser


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    for module in (autoencoder, autoencoder_trainer, trainer):
        monkeypatch.setattr(module, "convolution_format", lambda device: torch.channels_last)


def run(script, folder, name, config, **further):
    """Train as a script does, without a process of its own; returns the folder of the artifact."""
    places = {"--train": folder / "train.tsv", "--checkpoints": folder / "checkpoints", "--output": folder / name}
    given = [str(word) for pair in places.items() for word in pair]
    arguments = training_parser("").parse_args([*given, "--gpus", "0", "--threads", "1"])
    arguments.config, arguments.started = config | {"image_px": 16, "steps": 1, "batch_size": 4}, 0.0
    vars(arguments).update(further)
    script.main(arguments)
    return folder / name


def test_networks_trained_with_channels_last_are_saved_and_loaded(as_on_a_gpu, tmp_path):
    train_tsv = write_dataset(tmp_path, 4, 16)
    embeddings = [write_features(tmp_path / "part.h5", train_tsv, 6)]
    vae = run(train_autoencoder, tmp_path, "vae", {"channels": [8, 16], "perceptual_weight": 0}, encoder=None)
    model = run(train_diffusion, tmp_path, "model", UNET, autoencoder=vae, embeddings=embeddings)
    pipeline = load_pipeline(model, 6, torch.device("cpu"))
    assert pipeline(torch.ones(1, 6), num_inference_steps=1).shape == (1, 3, 16, 16)
