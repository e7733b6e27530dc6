"""Encoders trained elsewhere: where their weights are."""

from pathlib import Path

from pydantic import model_validator

from gensis.errors import UserError
from gensis.settings import base
from gensis.settings.base import Settings

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Names of weights in timm's hub layout, beside config.json; the first that is there counts."""


class ExternalEncoder(Settings):
    """An encoder trained elsewhere. It is measured beside ours, and whatever comes of it says so."""

    timm: str | None = None
    """A name that timm downloads weights for: `vit_small_patch16_224.dino`, or `hf-hub:OWNER/MODEL`."""
    path: base.Path | None = None
    """A folder in timm's hub layout: an encoder of another run, or a download. Beside `timm`: a file of weights for
    that architecture."""

    @model_validator(mode="after")
    def _named(self) -> "ExternalEncoder":
        if not self.timm and not self.path:
            raise ValueError("it names no weights: give `timm`, or the `path` of a folder")
        return self


def weight_files(path: Path) -> list[Path]:
    """The files that hold an encoder: a file of weights as it is, of a folder config.json and the weights.

    Raises:
        UserError: there is no such file, or the folder is not in timm's hub layout.
    """
    if path.is_file():
        return [path]
    weights = [path / name for name in WEIGHTS if (path / name).is_file()]
    if not weights or not (path / "config.json").is_file():
        raise UserError(f"{path} holds no encoder (config.json and {' or '.join(WEIGHTS)}): correct the path")
    return [path / "config.json", weights[0]]
