"""Creates timm backbones, saves them in timm's hub layout, and loads them."""

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from torch import nn

from gensis.artifacts.files import read_json, write_json, written_atomically
from gensis.artifacts.folders import refuse_damaged
from gensis.errors import UserError
from gensis.ranges import to_nhwc
from gensis.ssl.preprocessing import Preprocess, Preprocessing

FORMAT = "gensis-encoder/1"
OLDEST_TIMM = (1, 0, 26)
"""The first timm that opens a folder as `local-dir:` with every version of torch; some before did with recent ones."""


def create_backbone(
    name: str, image_px: int, backbone_args: dict[str, Any], drop_path: float = 0.0
) -> tuple[nn.Module, dict[str, Any]]:
    """A randomly initialised timm model that maps (B, 3, image_px, image_px) to (B, D).

    Args:
        name: timm's name.
        image_px: side of its input. Transformers are created for this size, and for others too if timm supports it.
        backbone_args: further arguments for timm.
        drop_path: rate of stochastic depth.

    Returns:
        The model without a classifier, and the arguments that create it again (without stochastic depth).

    Raises:
        UserError: timm has no such model, or it does not accept these arguments or this size.
    """
    if not timm.is_model(name):
        raise UserError(f"timm has no model '{name}': choose a backbone of config/backbones.txt")
    config = timm.get_pretrained_cfg(name)
    candidates = [backbone_args]
    if config and config.fixed_input_size:
        sized = backbone_args | {"img_size": image_px}
        candidates = [sized | {"dynamic_img_size": True}, sized, backbone_args]
    regularisation = {"drop_path_rate": drop_path} if drop_path else {}
    for candidate in candidates:
        try:
            backbone = timm.create_model(name, pretrained=False, num_classes=0, **candidate, **regularisation)
        except TypeError as error:
            reason = error
            continue
        except (AssertionError, ValueError, RuntimeError) as error:
            raise UserError(
                f"backbone {name} at {image_px} px with {backbone_args} cannot be created: {error}"
            ) from error
        if candidate.get("dynamic_img_size"):
            _check_size(backbone, name, image_px)
        return backbone, candidate
    fix = ": set drop_path: 0" if "drop_path_rate" in str(reason) else ""
    raise UserError(f"backbone {name} does not accept {backbone_args | regularisation}: {reason}{fix}") from reason


def _check_size(backbone: nn.Module, name: str, image_px: int) -> None:
    """Refuse images that do not divide into patches; timm itself would fail only on the first image."""
    patches = getattr(backbone, "patch_embed", None)
    patch_px = getattr(patches, "patch_size", (1,))[0]
    if image_px % patch_px and not getattr(patches, "dynamic_img_pad", False):
        raise UserError(
            f"image_px {image_px} is not a multiple of the patch size {patch_px} of backbone {name}: "
            "use a multiple, or set another `patch_size` in backbone_args"
        )


def load_weights(backbone: nn.Module, name: str, arguments: dict[str, Any], folder: Path) -> None:
    """Load the weights of a finished encoder; position embeddings are resampled to the backbone's input size.

    Args:
        backbone: the model.
        name: timm's name of its architecture.
        arguments: as `create_backbone` returned them.
        folder: of the encoder.

    Raises:
        UserError: a file of the encoder is damaged, or it has another architecture.
    """
    refuse_damaged(folder)
    weights = {"file": str(folder / "model.safetensors"), "num_classes": 0}
    try:
        start = timm.create_model(name, pretrained=True, num_classes=0, pretrained_cfg_overlay=weights, **arguments)
        backbone.load_state_dict(start.state_dict())
    except RuntimeError as error:
        encoder = read_json(folder / "config.json")
        raise UserError(
            f"init: {folder} ({encoder['architecture']} with {encoder['model_args']}) does not fit backbone {name} "
            f"with {arguments}: set `backbone` and `backbone_args` of that encoder, or remove `init`"
        ) from error


def save_encoder(
    backbone: nn.Module, folder: Path, *, name: str, arguments: dict[str, Any], preprocessing: Preprocessing
) -> None:
    """Write `config.json` and `model.safetensors` for `timm.create_model("local-dir:FOLDER", pretrained=True)`.

    timm does not write the configuration, because it would add tag, licence and paper of its own pretrained weights.
    `model_args` may not contain `num_classes`: transformers passes that argument itself.

    Args:
        backbone: the model.
        folder: created if absent.
        name: timm's name of the architecture.
        arguments: as `create_backbone` returned them.
        preprocessing: of its input images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().contiguous() for key, value in backbone.state_dict().items()}
    with written_atomically(folder / "model.safetensors") as temporary:
        save_file(state, temporary, metadata={"format": "pt"})
    described = {
        "input_size": [3, *preprocessing.size_px],
        "fixed_input_size": "img_size" in arguments and not arguments.get("dynamic_img_size"),
        "interpolation": preprocessing.interpolation,
        "crop_pct": preprocessing.crop_pct,
        "crop_mode": preprocessing.crop_mode,
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
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
        "pretrained_cfg": described,
    }
    write_json(folder / "config.json", config)


class Encoder(nn.Module):
    """A frozen backbone with its preprocessing: maps uint8 images of any size to embeddings."""

    def __init__(self, backbone: nn.Module, preprocessing: Preprocessing):
        super().__init__()
        self.backbone = backbone.eval().requires_grad_(False)
        self.preprocess = Preprocess(preprocessing)

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embeddings float32 (B, D) of uint8 (B, 3, H, W)."""
        return self.backbone(self.preprocess(images)).float()

    @torch.no_grad()
    def with_patch_tokens(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings float32 (B, D), and features of places float32 (B, h, w, D), of uint8 (B, 3, H, W).

        The features of places are the patch tokens of a transformer after its final norm, without class and register
        tokens, or the last feature map of a convnet.

        Raises:
            UserError: timm gives no features of places for this backbone.
        """
        return tokens_of(self.backbone, self.preprocess(images))

    def patch_tokens(self, images: torch.Tensor) -> torch.Tensor:
        """The features of places of `with_patch_tokens`."""
        return self.with_patch_tokens(images)[1]


def tokens_of(backbone: nn.Module, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """As `Encoder.with_patch_tokens`, of preprocessed images float32 (B, 3, H, W)."""
    if not hasattr(backbone, "forward_intermediates"):
        raise UserError(f"timm has no patch tokens for {type(backbone).__name__}: choose another backbone")
    last, maps = backbone.forward_intermediates(pixels, indices=1, norm=True)
    return backbone.forward_head(last).float(), to_nhwc(maps[-1]).float()


class LastBlocks(nn.Module):
    """Maps images to the class tokens of an encoder's last blocks, each after the final norm, concatenated.

    Networks without a class token return their ordinary embedding, as in DINO's linear protocol.
    """

    def __init__(self, encoder: Encoder, blocks: int):
        super().__init__()
        self.encoder, self.blocks = encoder, blocks

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embeddings float32 (B, blocks x D) of uint8 (B, 3, H, W); networks with fewer blocks use all of them."""
        backbone = self.encoder.backbone
        if getattr(backbone, "global_pool", None) != "token":
            return self.encoder(images)
        outputs = backbone.forward_intermediates(
            self.encoder.preprocess(images),
            indices=min(self.blocks, len(backbone.blocks)),
            return_prefix_tokens=True,
            norm=True,
            intermediates_only=True,
        )
        return torch.cat([prefix[:, 0] for _, prefix in outputs], dim=1).float()


def load_encoder(folder: Path) -> Encoder:
    """Load an encoder that `save_encoder` wrote.

    Raises:
        UserError: the folder contains no encoder, a file in it is damaged, or timm is too old.
    """
    if tuple(map(int, timm.__version__.split(".")[:3])) < OLDEST_TIMM:
        oldest = ".".join(map(str, OLDEST_TIMM)) + " or later"
        raise UserError(
            f"timm {timm.__version__} cannot open {folder}: install {oldest}, or open it as README.md shows"
        )
    if not all((folder / name).exists() for name in ("config.json", "model.safetensors")):
        raise UserError(f"{folder} has no encoder (config.json, model.safetensors): train or import it first")
    refuse_damaged(folder)
    backbone = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0)
    return Encoder(backbone, preprocessing_of(backbone))


def preprocessing_of(backbone: nn.Module) -> Preprocessing:
    """Preprocessing in the configuration of a timm model."""
    values = timm.data.resolve_model_data_config(backbone)
    size, mean, std = (tuple(values[key]) for key in ("input_size", "mean", "std"))
    return Preprocessing(
        size[1:],
        mean,
        std,
        interpolation=values["interpolation"],
        crop_pct=values["crop_pct"],
        crop_mode=values["crop_mode"],
    )
