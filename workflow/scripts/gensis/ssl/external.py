"""External encoders, opened with timm."""

from pathlib import Path
from typing import Any

import timm
from torch import nn

from gensis.artifacts.files import read_json
from gensis.errors import UserError
from gensis.settings.encoders import weight_files
from gensis.ssl.found_weights import find_weights, one_line
from gensis.training.finite import refuse_not_finite


def open_external(name: str | None, path: Path | None) -> tuple[nn.Module, str, dict[str, Any]]:
    """Open a model with its weights.

    Args:
        name: timm's name of the weights to download; with a path, timm's name of the architecture.
        path: a folder in timm's hub layout or, with a name, a weight file.

    Returns:
        The model without a classifier, timm's name of its architecture, and its other arguments.

    Raises:
        UserError: the weights do not exist, cannot be downloaded, do not fit the architecture, or are not finite, or
            the model does not pool its tokens.
    """
    opened = _downloaded(str(name)) if path is None else _read(name, path)
    refuse_not_finite(opened[0], path or name)
    if getattr(opened[0], "global_pool", None) == "":  # such as Virchow2, whose authors pool by hand
        raise UserError(
            f"{path or name} returns all tokens: set `global_pool`: token in model_args of its config.json, in a folder"
        )
    return opened


def _read(name: str | None, path: Path) -> tuple[nn.Module, str, dict[str, Any]]:
    if path.is_file() and not name:
        raise UserError(f"{path} is a file, which does not name its architecture: set `timm` too, or use a folder")
    *config, weights = weight_files(path)
    if config:
        backbone = _created(f"local-dir:{path}")
        described = read_json(config[0])
        name, arguments = described["architecture"], described.get("model_args", {})
    else:
        backbone, arguments = _created(str(name)), {}
    _load(backbone, weights, str(name))
    return backbone, architecture_of(str(name)), _described(backbone, arguments)


def architecture_of(name: str) -> str:
    """timm's name of the architecture, without the tag of the weights."""
    return name.partition(".")[0]


def _downloaded(name: str) -> tuple[nn.Module, str, dict[str, Any]]:
    arguments: dict[str, Any] = {}
    try:
        if name.startswith("hf-hub:"):
            _, architecture, arguments = timm.models.load_model_config_from_hf(name.removeprefix("hf-hub:"))
        elif timm.is_model_pretrained(name):
            architecture = architecture_of(name)
        else:
            raise UserError(f"timm has no weights called {name}: choose one of timm.list_pretrained()")
        backbone = timm.create_model(name, pretrained=True, num_classes=0)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # the libraries raise many types
        raise UserError(
            f"the weights of {name} cannot be downloaded ({one_line(error)}): check the name and the network, "
            "or download them on another machine and set their folder as `path`"
        ) from error
    return backbone, architecture, _described(backbone, arguments)


def _created(name: str) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=False, num_classes=0)
    except (RuntimeError, TypeError, ValueError, KeyError, AssertionError) as error:
        raise UserError(f"timm cannot create {name} ({one_line(error)}): correct `timm` or the config.json") from error


def _load(backbone: nn.Module, weights: Path, name: str) -> None:
    """Load weights. None may be missing; weights of a classifier are ignored."""
    try:
        if weights.suffix in (".npz", ".npy"):  # JAX weights, which timm converts
            timm.models.load_checkpoint(backbone, str(weights))
        else:
            backbone.load_state_dict(find_weights(weights, backbone.state_dict(), name), strict=False)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # timm and torch raise many types
        raise UserError(f"{weights} does not fit {name} ({one_line(error)}): correct `timm` or `path`") from error


def _described(backbone: nn.Module, arguments: dict[str, Any]) -> dict[str, Any]:
    """Model arguments that timm's configuration of the weights implies, and those given, without a classifier's."""
    described = backbone.pretrained_cfg
    pooling = {"global_pool": described["global_pool"]} if described.get("global_pool") else {}
    size = {"img_size": described["input_size"][1:]} if described.get("fixed_input_size") else {}
    return {name: value for name, value in (pooling | size | arguments).items() if name != "num_classes"}
