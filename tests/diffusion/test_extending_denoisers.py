"""A denoiser is added with one file and one line of a registry."""

import json

import numpy as np
import pytest
from tests.diffusion.tiny import write_dataset, write_features
from tests.extended import extended, run

PX, WIDTH = 16, 6
LINE = '"film": "gensis.diffusion.denoisers.film:FILM",'
TEXT = '''
from types import SimpleNamespace

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config

from gensis.diffusion.denoiser import Denoiser


class FilmNet(ModelMixin, ConfigMixin):
    """Two convolutions, scaled and shifted by the condition in between."""

    @register_to_config
    def __init__(self, sample_size: int, in_channels: int, width: int, embedding_width: int):
        super().__init__()
        self.into = torch.nn.Conv2d(in_channels, width, 3, padding=1)
        self.film = torch.nn.Linear(embedding_width + 1, 2 * width)
        self.out = torch.nn.Conv2d(width, in_channels, 3, padding=1)

    def forward(self, sample, timestep, style):
        time = torch.as_tensor(timestep, dtype=sample.dtype).reshape(-1, 1).expand(len(sample), 1) / 1000
        scale, shift = self.film(torch.cat([style, time], 1))[..., None, None].chunk(2, 1)
        return SimpleNamespace(sample=self.out(torch.tanh(self.into(sample) * scale + shift)))


def create(settings, shape, embedding_width):
    return FilmNet(shape[1], shape[0], settings.channels[0], embedding_width)


FILM = Denoiser(create, {"style": "vector"})
'''
GENERATE = """
import sys
from pathlib import Path
import numpy as np, torch
from gensis.diffusion.loading import load_pipeline

pipeline = load_pipeline(Path(sys.argv[1]), 6, torch.device("cpu"))
embeddings = torch.tensor([[1.0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1.0]])
noise = torch.randn(1, *pipeline.noise_shape, generator=torch.Generator().manual_seed(0)).expand(2, -1, -1, -1)
np.save(sys.argv[2], pipeline(embeddings, noise=noise, guidance=4, num_inference_steps=2).numpy())
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    return extended(tmp_path_factory.mktemp("own"), "DENOISERS", LINE, "gensis/diffusion/denoisers/film.py", TEXT)


def test_a_diffusion_model_with_the_new_denoiser_trains_and_generates(tmp_path, scripts):
    train = write_dataset(tmp_path / "images", 8, PX)
    embeddings = write_features(tmp_path / "part.h5", train, WIDTH)
    settings = {"denoiser": "film", "image_px": PX, "channels": [8], "steps": 2, "batch_size": 4}
    model = tmp_path / "model"
    run(
        scripts,
        *("train_diffusion.py", "--config", json.dumps(settings), "--train", train, "--embeddings", embeddings),
        *("--threads", 1, "--checkpoints", tmp_path / "checkpoints", "--output", model),
    )
    index = json.loads((model / "model_index.json").read_text())
    assert index["denoiser"] == ["gensis.diffusion.denoisers.film", "FilmNet"]
    assert index["condition"] == {"style": "vector"}
    run(scripts, "-c", GENERATE, model, tmp_path / "images.npy")
    images = np.load(tmp_path / "images.npy")
    assert (images.shape, images.dtype) == ((2, 3, PX, PX), np.uint8)
    assert (images[0] != images[1]).any()


def test_settings_accept_the_new_denoiser_and_no_other(scripts):
    program = "from gensis.settings.diffusion import Diffusion; print(Diffusion(denoiser={!r}).denoiser)"
    assert run(scripts, "-c", program.format("film")) == "film\n"
    assert "Input should be 'film', 'additive_embedding'" in run(scripts, "-c", program.format("dit"), status=1)
