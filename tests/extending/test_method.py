"""An SSL method is one file and one line of the registry."""

import csv
import json
import subprocess
import sys

import pytest
from tests.extending.copied import extended
from tests.ssl.conftest import TINY, pictures, write_images  # noqa: F401 (a fixture)

LINE = '    "alignment": Method("gensis.ssl.methods.alignment"),'
CONFIG = {key: value for key, value in TINY.items() if key not in ("dino", "views")}


@pytest.fixture
def scripts(tmp_path):
    registry = "gensis/settings/methods.py"
    start = "METHODS: dict[str, Method] = {\n"
    return extended(tmp_path / "scripts", "alignment.py", "gensis/ssl/methods", registry, start, LINE)


def pretrain(scripts, folder, config):
    command = [sys.executable, scripts / "pretrain_encoder.py", "--config", json.dumps(config), "--seed", "0"]
    command += [
        "--train",
        folder / "train.tsv",
        "--checkpoints",
        folder / "checkpoints",
        "--output",
        folder / "encoder",
    ]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


def test_a_method_takes_one_file_and_one_line(scripts, tmp_path, pictures):  # noqa: F811
    write_images(tmp_path, pictures)
    config = CONFIG | {"method": "alignment", "views": {"local_crops": 0}}
    result = pretrain(scripts, tmp_path, config)
    assert result.returncode == 0, result.stderr
    with open(tmp_path / "encoder/history.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert float(rows[-1]["alignment"]) < float(rows[0]["alignment"])
    assert (tmp_path / "encoder/model.safetensors").exists()
    refused = pretrain(scripts, tmp_path, CONFIG | {"method": "alignement"})
    assert refused.returncode != 0
    assert "'alignment'" in refused.stderr
