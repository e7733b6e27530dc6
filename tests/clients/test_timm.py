"""timm: `local-dir:` from 1.0.26 on, `checkpoint_path=` before; transformers' TimmWrapper opens the same folder."""

import json

import pytest
import timm
import torch
from safetensors.torch import load_file
from tests.clients.conftest import as_images

from gensis.errors import UserError
from gensis.ssl.backbone import load_encoder


@pytest.fixture
def expected(cuts, encoder):
    """Preprocessed images, and their embeddings."""
    images = encoder.preprocess(as_images(cuts["level"].tiles[:3]))
    return images, encoder.backbone(images)


def test_the_forms_for_new_and_old_versions_give_equal_embeddings(cuts, expected):
    folder, (images, embeddings) = cuts["level"].encoder, expected
    by_folder = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0)
    config = json.loads((folder / "config.json").read_text())
    by_file = timm.create_model(
        config["architecture"],
        checkpoint_path=str(folder / "model.safetensors"),
        **{**config["model_args"], "num_classes": 0},
    )
    for encoder in (by_folder, by_file):
        assert encoder.eval()(images).equal(embeddings)


def test_a_version_that_is_too_old_is_named(cuts, monkeypatch):
    monkeypatch.setattr(timm, "__version__", "1.0.25")
    with pytest.raises(UserError, match=r"timm 1\.0\.25 cannot open .*: install 1\.0\.26 or later, or .* README"):
        load_encoder(cuts["level"].encoder)
    monkeypatch.setattr(timm, "__version__", "1.0.26.dev0")
    load_encoder(cuts["level"].encoder)


def test_transformers_reads_the_architecture_its_arguments_and_the_weights_by_name(cuts, expected):
    """TimmWrapperConfig and TimmWrapperModel: `num_classes` is passed beside `model_args`, and may not be in it."""
    folder, (images, embeddings) = cuts["level"].encoder, expected
    config = json.loads((folder / "config.json").read_text())
    assert {"architecture", "num_classes", "pretrained_cfg"} <= set(config)
    model = timm.create_model(config["architecture"], pretrained=False, num_classes=0, **config["model_args"])
    model.load_state_dict(load_file(folder / "model.safetensors"))
    assert model.eval()(images).equal(embeddings)


def test_transformers_itself_opens_an_encoder(cuts, expected):
    transformers = pytest.importorskip("transformers", reason="transformers is not among the pipeline's packages")
    images, embeddings = expected
    model = transformers.AutoModel.from_pretrained(cuts["level"].encoder).eval()
    with torch.no_grad():
        torch.testing.assert_close(model(images).pooler_output, embeddings)
