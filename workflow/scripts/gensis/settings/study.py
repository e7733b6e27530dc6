"""A whole study: all sections of one configuration file, and how they fit together."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from gensis.errors import UserError
from gensis.settings import base
from gensis.settings.autoencoder import AutoencoderTraining
from gensis.settings.bank import Bank
from gensis.settings.base import Name, Settings, canonical_json
from gensis.settings.datasets import Dataset
from gensis.settings.diffusion import Diffusion
from gensis.settings.embedding import Embedding
from gensis.settings.evaluation import Evaluation
from gensis.settings.pretraining import Pretraining, Retraining
from gensis.settings.runtime import Runtime

# What the tiles of a slide do not depend on: where the sheet lies, which tiles are used, and when a run gives up.
ABOUT_THE_SHEET = frozenset({"kind", "sheet", "columns", "quality", "max_failed_slides"})
RESERVED = ("dino", "random", "pixels")
KINDS = ("slides", "files", "folder", "torchvision", "hdf5")
LARGEST_PIXEL_SPACE_PX = 64


class Study(Settings):
    """One configuration file. Outputs go to `results/<run>/`."""

    run: Name
    """Name of the folder below results/."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    """Everything after the images exists once a seed."""
    datasets: dict[Name, Dataset]
    pretraining: Pretraining
    embedding: Embedding = Embedding()
    autoencoder: base.Path = "auto"
    """`auto` (none up to 64 px, else train), `none`, `train`, or the folder of a diffusers AutoencoderKL."""
    autoencoder_training: AutoencoderTraining = AutoencoderTraining()
    diffusion: Diffusion = Diffusion()
    banks: dict[Name, Bank] = {}
    retraining: dict[Name, Retraining] = {}
    evaluation: Evaluation = Evaluation()
    runtime: Runtime = Runtime()

    @model_validator(mode="before")
    @classmethod
    def _retraining_overrides_pretraining(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("pretraining"), dict):
            return values
        arms = values.get("retraining") or {}
        if not isinstance(arms, dict) or not all(isinstance(arm, dict) for arm in arms.values()):
            return values
        return values | {"retraining": {name: values["pretraining"] | arm for name, arm in arms.items()}}

    @model_validator(mode="after")
    def _names_exist(self) -> "Study":
        _known("pretraining.dataset", self.pretraining.dataset, self.datasets)
        for name in self.evaluation.datasets:
            _known("evaluation.datasets", name, self.datasets)
        for name, arm in self.retraining.items():
            if name in RESERVED:
                raise ValueError(f"retraining.{name}: the names {', '.join(RESERVED)} are reserved: choose another")
            _known(f"retraining.{name}.bank", arm.bank, self.banks)
            _known(f"retraining.{name}.dataset", arm.dataset, {self.pretraining.dataset: None})
        for name, bank in self.banks.items():
            _known(f"banks.{name}.encoder", bank.encoder, {"dino": None, **self.retraining})
            self._refuse_cycle(name)
        return self

    @model_validator(mode="after")
    def _painter_fits_encoder(self) -> "Study":
        if 2 * self.diffusion_px < self.pretraining.image_px:
            raise ValueError(
                f"diffusion.image_px {self.diffusion_px} is below half of pretraining.image_px "
                f"{self.pretraining.image_px}: blurred views would teach blur; paint larger"
            )
        halvings = len(self.diffusion.channels) - 1
        if self.autoencoder_mode == "train":
            halvings += len(self.autoencoder_training.channels) - 1
        if self.diffusion_px % 2**halvings:
            raise ValueError(
                f"diffusion.image_px {self.diffusion_px} cannot be halved {halvings} times: "
                "use a multiple of a power of two, or fewer `channels`"
            )
        return self

    def _refuse_cycle(self, bank: str) -> None:
        seen = [bank]
        while (encoder := self.banks[bank].encoder) != "dino":
            bank = self.retraining[encoder].bank
            if bank in seen:
                raise ValueError(f"banks.{bank}.encoder: {encoder} is itself trained on that bank: break the cycle")
            seen.append(bank)

    @property
    def diffusion_px(self) -> int:
        """Side in pixels of the images that the diffusion model paints."""
        return self.pretraining.image_px if self.diffusion.image_px == "auto" else self.diffusion.image_px

    @property
    def autoencoder_mode(self) -> str:
        """``none``, ``train``, or the folder of an autoencoder trained elsewhere."""
        if self.autoencoder != "auto":
            return self.autoencoder
        return "none" if self.diffusion_px <= LARGEST_PIXEL_SPACE_PX else "train"

    def training_settings(self, encoder: str) -> Pretraining:
        """The settings that train ``encoder``: ``dino`` or a name in `retraining`."""
        return self.pretraining if encoder == "dino" else self.retraining[encoder]


def _known(where: str, name: str, names: dict[str, Any]) -> None:
    if name not in names:
        raise ValueError(f"{where}: '{name}' is not one of {', '.join(names) or 'none defined'}")


def load_study(values: dict[str, Any], backbones: frozenset[str] | None = None) -> Study:
    """Validate a configuration.

    Args:
        values: the parsed YAML.
        backbones: names of known backbones; None skips that check.

    Raises:
        UserError: the first mistake, as one line.
    """
    try:
        study = Study.model_validate(values)
    except ValidationError as error:
        raise UserError(_first_mistake(error, values)) from None
    if backbones is not None:
        for section, training in {"pretraining": study.pretraining, **study.retraining}.items():
            if training.backbone not in backbones:
                raise UserError(
                    f"config: {section}.backbone: timm has no model '{training.backbone}': "
                    "choose one of config/backbones.txt"
                )
    return study


def _first_mistake(error: ValidationError, values: Any) -> str:
    mistake = error.errors()[0]
    where = _place(mistake["loc"], values, missing=mistake["type"] == "missing")
    if mistake["type"] == "extra_forbidden":
        return f"config: unknown key {where}: correct or remove it (config/schema.json lists all keys)"
    if mistake["type"] == "missing":
        return f"config: {where} is missing: add it (config/schema.json describes it)"
    if mistake["type"].startswith("union_tag"):
        return f"config: {where}: `kind` must be one of {', '.join(KINDS)}"
    if mistake["type"] in ("model_type", "dict_type"):
        return f"config: {where} must hold keys: write {{}} to take every default"
    message = mistake["msg"].removeprefix("Value error, ")
    if not where:
        return f"config: {message}"
    return f"config: {where} = {str(mistake['input'])[:60]}: {message[0].lower()}{message[1:]}"


def _place(location: tuple[str | int, ...], values: Any, missing: bool) -> str:
    """The keys of the user's file on the way to a mistake; pydantic also names the members of unions that it tried."""
    keys = []
    for part in location:
        if (isinstance(values, dict) and part in values) or (isinstance(values, list) and isinstance(part, int)):
            keys.append(str(part))
            values = values[part]
    if missing:
        keys.append(str(location[-1]))
    return ".".join(keys)


def stage_json(study: Study, stage: str) -> str:
    """Canonical JSON of everything in the config that a stage's results depend on.

    Args:
        study: a validated study.
        stage: ``datasets/<name>``, ``encoders/<name>``, ``embedding``, ``autoencoder``, ``diffusion``,
            ``banks/<name>`` or ``evaluation``.
    """
    section, _, name = stage.partition("/")
    if section == "datasets":
        dataset = study.datasets[name]
        return canonical_json(dataset, without=ABOUT_THE_SHEET if dataset.kind == "slides" else frozenset())
    if section == "encoders":
        return canonical_json(study.training_settings(name))
    if section == "embedding":
        return canonical_json(study.embedding, without=frozenset({"units_per_part"}))
    if section == "autoencoder":
        return canonical_json(study.autoencoder_training, image_px=study.diffusion_px)
    if section == "diffusion":
        return canonical_json(study.diffusion, image_px=study.diffusion_px)
    if section == "banks":
        return canonical_json(study.banks[name], without=frozenset({"shards"}))
    if section == "evaluation":
        return canonical_json(study.evaluation, without=frozenset({"datasets"}))
    raise ValueError(f"no stage '{stage}'")


def schema() -> dict[str, Any]:
    """JSON schema of a configuration file, for editors and for config/schema.json."""
    document = Study.model_json_schema(mode="validation")
    # A retraining inherits what it does not state, so only the bank must stand there.
    document["$defs"]["Retraining"]["required"] = ["bank"]
    return document | {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Gen-SIS study"}


def read_backbones(path: Path) -> frozenset[str]:
    """Names in config/backbones.txt, one a line."""
    return frozenset(path.read_text().split())
