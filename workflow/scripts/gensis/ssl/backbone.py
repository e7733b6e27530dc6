"""Backbones from timm: made, saved in timm's hub layout, and loaded back."""

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from torch import nn

from gensis.artifacts.files import write_json
from gensis.augment.resample import resize
from gensis.errors import UserError

FORMAT = "gensis-encoder/1"


def create_backbone(
    name: str, image_px: int, backbone_args: dict[str, Any], drop_path: float = 0.0
) -> tuple[nn.Module, dict[str, Any]]:
    """A randomly initialised timm model that maps (B, 3, image_px, image_px) to (B, D).

    Args:
        name: timm's name.
        image_px: side of its input; transformers are told, and take smaller views too where timm can do that.
        backbone_args: further arguments of the model.
        drop_path: stochastic depth.

    Returns:
        The model, and the arguments that make it again (without stochastic depth).

    Raises:
        UserError: timm has no such model, or it does not take these arguments.
    """
    if not timm.is_model(name):
        raise UserError(f"timm has no model '{name}': choose a backbone of config/backbones.txt")
    arguments = {"num_classes": 0, **backbone_args}
    config = timm.get_pretrained_cfg(name)
    candidates = [arguments]
    if config and config.fixed_input_size:
        sized = arguments | {"img_size": image_px}
        candidates = [sized | {"dynamic_img_size": True}, sized, arguments]
    regularisation = {"drop_path_rate": drop_path} if drop_path else {}
    for candidate in candidates:
        try:
            return timm.create_model(name, pretrained=False, **candidate, **regularisation), candidate
        except TypeError as error:
            reason = error
        except (AssertionError, ValueError, RuntimeError) as error:
            raise UserError(f"backbone {name} at {image_px} px with {backbone_args} cannot be made: {error}") from error
    raise UserError(f"backbone {name} does not take {backbone_args}: {reason}") from reason


def save_encoder(
    backbone: nn.Module,
    folder: Path,
    name: str,
    arguments: dict[str, Any],
    image_px: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> None:
    """Write `config.json` and `model.safetensors`, from which timm makes the same model.

    `timm.create_model("local-dir:FOLDER", pretrained=True, num_classes=0)`. The configuration is written here and not
    by timm, which would add tag, licence and paper of weights that these are not.

    Args:
        backbone: the model.
        folder: made if absent.
        name: timm's name of the architecture.
        arguments: as `create_backbone` returned them.
        image_px: side of the input.
        mean: of R, G, B in [0, 1].
        std: of R, G, B in [0, 1].
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().contiguous() for key, value in backbone.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    preprocessing = {
        "input_size": [3, image_px, image_px],
        "fixed_input_size": "img_size" in arguments and not arguments.get("dynamic_img_size"),
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "crop_mode": "squash",
        "mean": list(mean),
        "std": list(std),
        "num_classes": 0,
        "first_conv": backbone.pretrained_cfg.get("first_conv"),
        "classifier": backbone.pretrained_cfg.get("classifier"),
    }
    config = {
        "format": FORMAT,
        "architecture": name,
        "num_classes": 0,
        "num_features": backbone.num_features,
        "model_args": arguments,
        "pretrained_cfg": preprocessing,
    }
    write_json(folder / "config.json", config)


class Encoder(nn.Module):
    """A frozen backbone with its preprocessing: uint8 images of any size to embeddings."""

    def __init__(self, backbone: nn.Module, image_px: int, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.backbone = backbone.eval().requires_grad_(False)
        self.image_px = image_px
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embeddings float32 (B, D) of uint8 (B, 3, H, W): whole image resized to image_px, normalised."""
        pixels = resize(images, self.image_px) / 255
        return self.backbone((pixels - self.mean) / self.std).float()


def load_encoder(folder: Path) -> Encoder:
    """Load an encoder that `save_encoder` wrote.

    Raises:
        UserError: the folder holds none.
    """
    if not all((folder / name).exists() for name in ("config.json", "model.safetensors")):
        raise UserError(f"{folder} holds no encoder (config.json, model.safetensors): make it first")
    backbone = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0)
    config = backbone.pretrained_cfg
    return Encoder(backbone, config["input_size"][1], config["mean"], config["std"])
