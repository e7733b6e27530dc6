"""External encoders: where their weights are."""

import os
from pathlib import Path

from pydantic import model_validator

from gensis.errors import UserError
from gensis.settings import base
from gensis.settings.base import Settings

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Weight files in timm's hub layout, next to config.json; the first that exists is used."""


class ExternalEncoder(Settings):
    """An encoder with external weights. It is evaluated like the study's own encoders, and all results that depend on
    it are marked as using external weights."""

    timm: str | None = None
    """Model whose weights timm downloads: `vit_small_patch16_224.dino`, or `hf-hub:OWNER/MODEL`."""
    path: base.Path | None = None
    """A folder in timm's hub layout, such as an encoder of another run or a download. With `timm`: a weight file for
    that architecture."""

    @model_validator(mode="after")
    def _named(self) -> "ExternalEncoder":
        if not self.timm and not self.path:
            raise ValueError("it has no weights: set `timm`, or the `path` of a folder")
        return self


def weight_files(path: Path) -> list[Path]:
    """The files of an encoder: the weight file itself, or config.json and the weights of a folder.

    Raises:
        UserError: the path does not exist or may not be read, or the folder is not in timm's hub layout.
    """
    if path.exists() and not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise UserError(f"{path} may not be read: allow this user to read it")
    if path.is_file():
        return [path]
    weights = [path / name for name in WEIGHTS if (path / name).is_file()]
    if not weights or not (path / "config.json").is_file():
        raise UserError(f"{path} has no encoder (config.json and {' or '.join(WEIGHTS)}): correct the path")
    return [path / "config.json", weights[0]]
