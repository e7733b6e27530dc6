"""The packages that `pip install .` installs are enough for an encoder; other parts name what they lack."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from tests.test_environments import DIRECT, needs, normal

from gensis.ssl.backbone import create_backbone, save_encoder
from gensis.ssl.preprocessing import Preprocessing

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "workflow/scripts"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CORE = {requirement.name: requirement for requirement in map(Requirement, PROJECT["dependencies"])}
MODULES = {"openslide-python": "openslide", "scikit-learn": "sklearn"}
PROGRAM = """
import importlib, json, sys
from importlib.machinery import PathFinder

hidden, folder, packages = json.loads(sys.argv[1])
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *places: None if name.split(".")[0] in hidden else find(name, *places)

import gensis, torch

print(tuple(gensis.load_encoder(folder)(torch.zeros(2, 3, 40, 40, dtype=torch.uint8)).shape))
for package in packages:
    try:
        importlib.import_module(package)
    except ImportError as error:
        print(error)
"""
LACKING = {
    "gensis.diffusion.pipeline": "diffusers, torchmetrics",
    "gensis.evaluation.folds": "h5py, scipy, sklearn",
    "gensis.images.store": "h5py, imagecodecs, simplejpeg, tifffile",
    "gensis.settings": "pydantic",
    "gensis.slides.opening": "openslide, scipy, simplejpeg, tifffile",
    "gensis.ssl.pretrainer": "h5py, imagecodecs, simplejpeg, tifffile",
}


def test_a_loaded_encoder_needs_the_core_alone_and_other_parts_name_what_they_lack(tmp_path):
    torch.manual_seed(0)
    backbone, arguments = create_backbone("resnet18_cifar", 32, {"channels": (8, 8, 16, 16)})
    preprocessing = Preprocessing((32, 32), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    save_encoder(backbone, tmp_path, name="resnet18_cifar", arguments=arguments, preprocessing=preprocessing)
    installed = {normal(name) for name in [*CORE, *(below for name in CORE for below in needs(name))]}
    hidden = [MODULES.get(name, name) for name in DIRECT if normal(name) not in installed]
    given = json.dumps([hidden, str(tmp_path), list(LACKING)])
    done = subprocess.run([sys.executable, "-c", PROGRAM, given], cwd=LIBRARY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shape, *errors = done.stdout.splitlines()
    assert shape == "(2, 16)"
    for error, modules in zip(errors, LACKING.values(), strict=True):
        assert error.startswith(f"{modules} not installed: ")
        assert "`pip install '.[pipeline]'`" in error


@pytest.mark.parametrize("name", CORE)
def test_ranges_of_the_core_contain_the_pinned_version_and_older_ones(name):
    requirement = CORE[name]
    assert requirement.specifier.contains(DIRECT[name])
    assert all(each.operator == ">=" for each in requirement.specifier)
