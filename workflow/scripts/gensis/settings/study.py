"""A whole study: all sections of one configuration file, and checks across sections."""

from itertools import chain
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, model_validator

from gensis.errors import UserError
from gensis.settings import base
from gensis.settings.autoencoder_training import AutoencoderTraining
from gensis.settings.bank import Bank
from gensis.settings.base import EVERY_DEFAULT, Name, Seed, Settings, added, laid_over
from gensis.settings.compute import epochs_to_match, passes
from gensis.settings.datasets import Dataset
from gensis.settings.diffusion import Diffusion
from gensis.settings.embedding import Embedding
from gensis.settings.encoders import ExternalEncoder
from gensis.settings.evaluation import Evaluation
from gensis.settings.export import Export
from gensis.settings.methods import METHODS
from gensis.settings.mistakes import first_mistake
from gensis.settings.pretraining import Pretraining, Retraining
from gensis.settings.runtime import Runtime
from gensis.settings.study_checks import check_names, check_sizes

LARGEST_PIXEL_SPACE_PX = 64


def _each_once(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if twice := [seed for seed in seeds if seeds.count(seed) > 1]:
        raise ValueError(f"{twice[0]} is listed twice: list each once")
    return seeds


def _not_images(run: str) -> str:
    if run == "images":
        raise ValueError("results/images has the images of all runs: choose another name")
    return run


class Study(Settings):
    """One configuration file. Outputs go to `results/<run>/`."""

    run: Annotated[Name, AfterValidator(_not_images)]
    """Name of the run's folder in `results/`."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(_each_once)] = (0,)
    """Random seeds. All stages after tiling or import of the images run once per seed."""
    datasets: dict[Name, Dataset]
    """Data sets by name."""
    pretraining: Pretraining | None = None
    """Pre-training of the baseline encoder, which bears the name of its method: `dino`. Without it nothing is trained:
    images are embedded, and the external encoders are compared with the first of them."""
    encoders: dict[Name, ExternalEncoder] = added(neutral={})
    """External encoders by name. They are evaluated like the study's own and marked as external weights."""
    embedding: Embedding = Embedding()
    """How images are embedded."""
    autoencoder: base.Path = "auto"
    """Autoencoder of the diffusion model. `none`: diffusion in pixels. `train`: train one on the data set. Or the
    folder of a diffusers AutoencoderKL. `auto`: `none` up to 64 px, else `train`."""
    autoencoder_training: AutoencoderTraining = AutoencoderTraining()
    """Training of the autoencoder, if `autoencoder` is `train`."""
    diffusion: Diffusion = Diffusion()
    """The diffusion model."""
    banks: dict[Name, Bank] = {}
    """Banks of generated images by name."""
    retraining: dict[Name, Retraining] = {}
    """Retraining arms by name."""
    evaluation: Evaluation = Evaluation()
    """Evaluation of encoders and banks."""
    export: Export | None = added(neutral=None)
    """Images that the target `export` writes as files."""
    runtime: Runtime = Runtime()
    """Speed and memory."""

    @model_validator(mode="before")
    @classmethod
    def _retraining_overrides_pretraining(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("pretraining") or {}, dict):
            return values
        if not values.get("pretraining"):
            if section := next((name for name in ("retraining", "banks") if values.get(name)), None):
                raise ValueError(f"pretraining is missing: add it, or remove {section}")
            return values
        arms = values.get("retraining") or {}
        if not isinstance(arms, dict):
            return values
        inherited = {
            name: _inherit(values["pretraining"], arm) if isinstance(arm, dict) else arm for name, arm in arms.items()
        }
        return values | {"retraining": inherited}

    @model_validator(mode="after")
    def _baseline_conditions_banks(self) -> "Study":
        for name, bank in self.banks.items():
            if bank.encoder is None:
                self.banks[name] = bank.model_copy(update={"encoder": self.baseline})
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> "Study":
        check_names(self)
        return self

    @model_validator(mode="after")
    def _match_compute_of_others(self) -> "Study":
        for name, arm in self.retraining.items():
            if arm.match_compute is not None:
                other = self.retraining[arm.match_compute]
                epochs = epochs_to_match(other.epochs, self.passes(arm.match_compute), self.passes(name))
                self.retraining[name] = arm.model_copy(update={"epochs": epochs})
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> "Study":
        check_sizes(self)
        return self

    @property
    def baseline(self) -> str:
        """Name of the encoder that is trained by `pretraining`: that of its method."""
        return self.pretraining.method if self.pretraining else "dino"

    @property
    def reference(self) -> str:
        """The encoder that others are compared with: the baseline, or the first of `encoders` without pre-training."""
        return next(iter(self.encoders), self.baseline) if self.pretraining is None else self.baseline

    @property
    def compared(self) -> list[str]:
        """Encoders that are compared with the reference: the arms, or without pre-training the other `encoders`."""
        return list(self.retraining) if self.pretraining else list(self.encoders)[1:]

    @property
    def used_datasets(self) -> list[str]:
        """Data sets that are made: those of pre-training and evaluation, or all if nothing is trained."""
        if self.pretraining is None:
            return list(self.datasets)
        return list(dict.fromkeys([self.pretraining.dataset, *self.evaluation.datasets]))

    @property
    def slide_tasks(self) -> tuple[str, ...]:
        """Names of the tasks on whole slides: of labels, and of the targets of any data set of the evaluation."""
        of_targets = (
            self.evaluation.target_tasks(getattr(self.datasets[name], "targets", {}))
            for name in self.evaluation.datasets
        )
        return tuple(dict.fromkeys((*self.evaluation.slide_tasks, *chain.from_iterable(of_targets))))

    @property
    def trained_encoders(self) -> tuple[str, ...]:
        """Encoders that the study trains: the baseline, then the arms. None without pre-training."""
        return (self.baseline, *self.retraining) if self.pretraining else ()

    @property
    def untrained(self) -> tuple[str, ...]:
        """What is evaluated beside the encoders: a network with random weights, if any is trained, and raw pixels."""
        return ("random", "pixels") if self.pretraining else ("pixels",)

    @property
    def diffusion_px(self) -> int:
        """Side in pixels of the generated images."""
        return self.pretraining.image_px if self.diffusion.image_px == "auto" else self.diffusion.image_px

    @property
    def autoencoder_px(self) -> int:
        """Side in pixels of the autoencoder's training images; the autoencoder itself works at any size."""
        image_px = self.autoencoder_training.image_px
        return self.diffusion_px if image_px == "auto" else image_px

    @property
    def autoencoder_mode(self) -> str:
        """``none``, ``train``, or the folder of an external autoencoder."""
        if self.autoencoder != "auto":
            return self.autoencoder
        return "none" if self.diffusion_px <= LARGEST_PIXEL_SPACE_PX else "train"

    def resolved(self) -> dict[str, Any]:
        """The study as JSON values with all defaults filled in and names in the user's order.

        Loading it again gives the same study, because every key of an arm is written out.
        """
        return self.model_dump(mode="json", context=EVERY_DEFAULT)

    def stored_seed(self, encoder: str, seed: int) -> int:
        """The seed under which the weights and embeddings of ``encoder`` are stored.

        No seed changes an external encoder or raw pixels, so theirs are those of the first seed.
        """
        return self.seeds[0] if encoder in self.encoders or encoder == "pixels" else seed

    def stored_seeds(self, encoder: str) -> tuple[int, ...]:
        """The seeds under which there are weights and embeddings of ``encoder``."""
        return tuple(dict.fromkeys(self.stored_seed(encoder, seed) for seed in self.seeds))

    def training_settings(self, encoder: str) -> Pretraining:
        """The settings that train ``encoder``: the baseline or a name in `retraining`."""
        return self.pretraining if encoder == self.baseline else self.retraining[encoder]

    def disentangles(self, encoder: str) -> bool:
        """Whether ``encoder`` is trained on interpolated images."""
        arm = self.retraining.get(encoder)
        return bool(arm and arm.bank and arm.disentangle_weight and self.banks[arm.bank].alphas != ())

    def conditions_diffusion(self, encoder: str) -> bool:
        """Whether a diffusion model is conditioned on the embeddings of ``encoder``."""
        return encoder in {bank.encoder for bank in self.banks.values() if bank.is_generated}

    def embeds_flips(self, encoder: str) -> bool:
        """Whether mirrored images are embedded by ``encoder`` too."""
        return self.embedding.flips or (self.diffusion.flips and self.conditions_diffusion(encoder))

    @property
    def main_arm(self) -> str | None:
        """The arm that the report compares with the others: the one with most parts of the method, the first of equals.

        The parts are recognised by keys, because names are the user's: a generated bank that is not shuffled,
        generative views, disentanglement, interpolation of embeddings instead of pixels, and real images.
        """

        def parts_of_the_method(name: str) -> int:
            arm = self.retraining[name]
            if arm.bank is None or arm.shuffle_bank or not self.banks[arm.bank].is_generated:
                return 0
            generated_between = self.disentangles(name) and arm.interpolation == "embedding"
            generative = arm.largest_generative_probability > 0
            return 1 + sum((generative, self.disentangles(name), generated_between, arm.real_images))

        return max(self.retraining, key=parts_of_the_method, default=None)

    def passes(self, encoder: str) -> float:
        """Compute per image and epoch in the training of ``encoder`` (see `settings.compute.passes`)."""
        return passes(self.training_settings(encoder), self.disentangles(encoder))

    def bank_seeds(self, bank: str) -> tuple[int, ...]:
        """The seeds for which a bank is generated."""
        seed = self.banks[bank].seed
        return self.seeds if seed is None else (seed,)


def _inherit(pretraining: dict[str, Any], arm: dict[str, Any]) -> dict[str, Any]:
    """An arm's keys merged over those of `pretraining`, without those of another backbone or method."""
    default = Pretraining.model_fields["backbone"].default
    if arm.get("backbone", pretraining.get("backbone", default)) != pretraining.get("backbone", default):
        pretraining = {key: value for key, value in pretraining.items() if key != "backbone_args"}
    if arm.get("method", pretraining.get("method", "dino")) != pretraining.get("method", "dino"):
        pretraining = {key: value for key, value in pretraining.items() if key not in ("preset", *METHODS)}
    return laid_over(pretraining, arm)


def load_study(values: dict[str, Any], backbones: frozenset[str] | None = None) -> Study:
    """Validate a configuration.

    Args:
        values: the parsed YAML.
        backbones: names of known backbones; None skips that check.

    Raises:
        UserError: the first error, as one line.
    """
    try:
        study = Study.model_validate(values)
    except ValidationError as error:
        raise UserError(first_mistake(error, values, Study)) from None
    if backbones is not None:
        for where, name in _timm_names(study).items():
            if name not in backbones:
                raise UserError(f"config: {where}: timm has no model '{name}': choose one of config/backbones.txt")
    return study


def _timm_names(study: Study) -> dict[str, str]:
    """Keys that name a timm architecture -> its name."""
    ours = {"pretraining": study.pretraining, **study.retraining} if study.pretraining else {}
    external = {name: encoder.timm for name, encoder in study.encoders.items() if encoder.timm}
    return {f"{section}.backbone": training.backbone for section, training in ours.items()} | {
        f"encoders.{name}.timm": timm.partition(".")[0]
        for name, timm in external.items()
        if not timm.startswith("hf-hub:")
    }


def read_backbones(path: Path) -> frozenset[str]:
    """Names in config/backbones.txt, one per line."""
    return frozenset(path.read_text().split())
