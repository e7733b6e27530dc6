"""An SSL method is one file and one line of the registry."""

import csv
import json

from tests.extended import extended, run
from tests.ssl.conftest import TINY, write_images

ALIGNMENT = '''"""Alignment and uniformity (Wang and Isola 2020, arXiv 2005.10242)."""

import torch
from torch import nn
from torch.nn import functional as F

from gensis.ssl.batch import Batch
from gensis.ssl.method import Losses, Method
from gensis.ssl.networks import BackboneWithHead


class Alignment(Method):
    """Views of one image become alike, and views of all images spread over the sphere."""

    def build(self, student: nn.Module) -> None:
        """See Method."""
        self.student = BackboneWithHead(student, nn.Linear(student.num_features, 32), self.settings.precision)

    def losses(self, student: nn.Module, batch: Batch, scheduled: dict[str, float]) -> Losses:
        """See Method."""
        outputs = F.normalize(student(batch.views.global_views.flatten(0, 1)).float(), dim=1)
        first, second = outputs.chunk(2)
        alignment = (first - second).square().sum(1).mean()
        uniformity = torch.pdist(outputs).square().mul(-2).exp().mean().log()
        loss = alignment + uniformity
        return Losses(loss, {"alignment": loss.detach()})
'''
LINE = '"alignment": MethodEntry("gensis.ssl.methods.alignment:Alignment"),'
CONFIG = {key: value for key, value in TINY.items() if key not in ("dino", "views")}


def test_a_method_takes_one_file_and_one_line(tmp_path, pictures):
    scripts = extended(tmp_path, "METHODS", LINE, "gensis/ssl/methods/alignment.py", ALIGNMENT)
    write_images(tmp_path, pictures)
    config = CONFIG | {"method": "alignment", "views": {"local_crops": 0}, "epochs": 4}
    folders = ["--train", tmp_path / "train.tsv", "--checkpoints", tmp_path / "checkpoints"]
    folders += ["--output", tmp_path / "encoder"]
    run(scripts, "pretrain_encoder.py", "--config", json.dumps(config), "--seed", 0, *folders)
    with open(tmp_path / "encoder/history.csv") as stream:
        losses = [float(row["alignment"]) for row in csv.DictReader(stream)]
    assert losses[-1] < losses[0]
    assert (tmp_path / "encoder/model.safetensors").exists()
    config["method"] = "alignement"
    assert "'alignment'" in run(scripts, "pretrain_encoder.py", "--config", json.dumps(config), *folders, status=1)
