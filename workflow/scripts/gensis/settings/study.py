"""A whole study: all sections of one configuration file, and checks across sections."""

from collections.abc import Collection
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
from gensis.settings.pretraining import Pretraining, Retraining
from gensis.settings.runtime import Runtime
from gensis.settings.tasks import TASKS

RESERVED = (*METHODS, "random", "pixels")
# Key that says what a section is about -> its values.
CHOICES = {
    "kind": ("slides", "files", "folder", "torchvision", "hdf5", "pcam"),
    "task": tuple(name for name, task in TASKS.items() if task.level == "benchmark"),
}
LARGEST_PIXEL_SPACE_PX = 64
# Examples for error messages about sections that cannot be empty, by key or model.
EXAMPLES = {
    "datasets": "{tiles: {kind: slides, sheet: slides.csv}}",
    "Pretraining": "{dataset: tiles}",
    "Retraining": "{bank: default}",
    "ExternalEncoder": "{path: folder}",
    "Filter": "{minimum_fidelity: 0.5}",
    "max_images": "{train: 5000}",
    "image_range": "{train: [0, 5000]}",
    "splits": "{train: .}",
    "columns": "{group: case}",
    "targets": "{age: regression}",
    "SurvivalTarget": "{survival: {event: os_event}}",
    "minimum": "{focus: 5}",
    "maximum": "{pen_fraction: 0.1}",
}


def _each_once(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if twice := [seed for seed in seeds if seeds.count(seed) > 1]:
        raise ValueError(f"{twice[0]} is listed twice: list each once")
    return seeds


class Study(Settings):
    """One configuration file. Outputs go to `results/<run>/`."""

    run: Name
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
        if not isinstance(arms, dict) or not all(isinstance(arm, dict) for arm in arms.values()):
            return values
        return values | {"retraining": {name: _inherit(values["pretraining"], arm) for name, arm in arms.items()}}

    @model_validator(mode="after")
    def _baseline_conditions_banks(self) -> "Study":
        for name, bank in self.banks.items():
            if bank.encoder is None:
                self.banks[name] = bank.model_copy(update={"encoder": self.baseline})
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> "Study":
        for name in self.evaluation.datasets:
            _known("evaluation.datasets", name, self.datasets)
        self._transfers_exist()
        self._refuse_benchmarks_named_like_datasets()
        if self.export:
            for section, names in (("datasets", self.used_datasets), ("banks", self.banks)):
                for name in getattr(self.export, section):
                    _known(f"export.{section}", name, names)
        if self.evaluation.judge is not None:
            _known("evaluation.judge", self.evaluation.judge, self.encoders)
        for section, names in (("retraining", self.retraining), ("encoders", self.encoders)):
            if reserved := [name for name in names if name in RESERVED]:
                raise ValueError(f"{section}.{reserved[0]}: {', '.join(RESERVED)} are reserved: choose another name")
        if both := [name for name in self.encoders if name in self.retraining]:
            raise ValueError(f"encoders.{both[0]}: this name is also in retraining: choose another name")
        if self.pretraining:
            self._names_of_trainings_exist(self.pretraining)
        return self

    def _refuse_benchmarks_named_like_datasets(self) -> None:
        if both := [name for name in self.evaluation.benchmarks if name in self.datasets]:
            raise ValueError(f"evaluation.benchmarks.{both[0]}: a data set has this name: choose another name")

    def _transfers_exist(self) -> None:
        evaluation, results = self.evaluation, []
        for number, transfer in enumerate(evaluation.transfer):
            for name in (transfer.fit, *transfer.test):
                _known(f"evaluation.transfer.{number}", name, evaluation.datasets)
            results += transfer.results.values()
        if twice := [name for name in results if results.count(name) > 1 or name in self.datasets]:
            raise ValueError(f"evaluation.transfer: {twice[0]} names two results: list each once, or rename a data set")
        if results and not (evaluation.transfer_tasks or evaluation.slide_transfer_tasks):
            raise ValueError("evaluation.transfer: `knn`, `linear` and `slides` are switched off: switch one on")

    def _names_of_trainings_exist(self, pretraining: Pretraining) -> None:
        _known("pretraining.dataset", pretraining.dataset, self.datasets)
        _known_start("pretraining", pretraining, list(self.encoders))
        for name, arm in self.retraining.items():
            self._names_of_arm_exist(name, arm, pretraining)
        for name, bank in self.banks.items():
            _known(f"banks.{name}.encoder", bank.encoder, [*self.trained_encoders, *self.encoders])
            self._refuse_cycle(name)
            if bank.seed is not None:
                _known(f"banks.{name}.seed", bank.seed, self.seeds)
            if bank.sampler == "heun" and self.diffusion.objective != "flow":
                raise ValueError(f"banks.{name}.sampler: heun needs diffusion.objective flow: choose auto or dpm++")

    def _names_of_arm_exist(self, name: str, arm: Retraining, pretraining: Pretraining) -> None:
        where = f"retraining.{name}"
        _known(f"{where}.dataset", arm.dataset, [pretraining.dataset])
        _known_start(where, arm, [self.baseline, *self.encoders])
        if arm.match_compute is not None:
            others = [other for other, settings in self.retraining.items() if settings.match_compute is None]
            _known(f"{where}.match_compute", arm.match_compute, others)
        if arm.bank is None:
            if arm.match_compute is None and not arm.differences(pretraining):
                raise ValueError(
                    f"{where}.bank is missing: without it this arm equals {self.baseline}: set it, or to train without "
                    "a bank set `match_compute`, other `epochs` or another key"
                )
            return
        _known(f"{where}.bank", arm.bank, self.banks)
        bank = self.banks[arm.bank]
        if not arm.real_images and bank.variants < 2:
            raise ValueError(
                f"{where}.real_images: without real images both views come from banks.{arm.bank}, "
                f"which has variants: {bank.variants}: set at least 2"
            )
        if arm.largest_generative_probability > 0 and not bank.variants:
            raise ValueError(
                f"{where} needs generative images, but banks.{arm.bank} has variants: 0: set at least 1, or set "
                "generative_probability: 0"
            )
        if arm.disentangle_weight > 0 and not bank.alphas:
            raise ValueError(
                f"{where} needs interpolated images, but banks.{arm.bank} has alphas: []: add some, or set "
                "disentangle_weight: 0"
            )

    @model_validator(mode="after")
    def _match_compute_of_others(self) -> "Study":
        for name, arm in self.retraining.items():
            if arm.match_compute is not None:
                other = self.retraining[arm.match_compute]
                epochs = epochs_to_match(other.epochs, self.passes(arm.match_compute), self.passes(name))
                self.retraining[name] = arm.model_copy(update={"epochs": epochs})
        return self

    @model_validator(mode="after")
    def _diffusion_model_fits_encoder(self) -> "Study":
        if self.pretraining is None:
            return self
        if 2 * self.diffusion_px < self.pretraining.image_px:
            raise ValueError(
                f"diffusion.image_px {self.diffusion_px} is below half of pretraining.image_px "
                f"{self.pretraining.image_px}, so views of generated images would be blurred: generate larger images"
            )
        halvings = len(self.diffusion.channels) - 1
        if self.autoencoder_mode == "train":
            halvings += len(self.autoencoder_training.channels) - 1
        if self.diffusion_px % 2**halvings:
            raise ValueError(
                f"diffusion.image_px {self.diffusion_px} cannot be halved {halvings} times: "
                "use a multiple of a power of two, or fewer `channels`"
            )
        halvings = len(self.autoencoder_training.channels) - 1
        if self.autoencoder_mode == "train" and self.autoencoder_px % 2**halvings:
            raise ValueError(
                f"autoencoder_training.image_px {self.autoencoder_px} cannot be halved {halvings} times: "
                "use a multiple of a power of two, or fewer `channels`"
            )
        return self

    def _refuse_cycle(self, bank: str) -> None:
        seen = [bank]
        while (encoder := self.banks[bank].encoder) in self.retraining:
            bank = self.retraining[encoder].bank
            if bank is None:
                return
            if bank in seen:
                raise ValueError(f"banks.{bank}.encoder: {encoder} is itself trained on this bank: break the cycle")
            seen.append(bank)

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


def _known(where: str, name: str | int, names: Collection[str | int]) -> None:
    if name not in names:
        known = f"is not one of {', '.join(map(str, names))}" if names else "does not exist: none is defined"
        raise ValueError(f"{where}: '{name}' {known}")


def _known_start(section: str, training: Pretraining, names: Collection[str]) -> None:
    if training.init is not None:
        _known(f"{section}.init", training.init, names)


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
        raise UserError(_first_mistake(error, values)) from None
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


def _first_mistake(error: ValidationError, values: Any) -> str:
    mistake = error.errors()[0]
    where = _place(mistake["loc"], values, missing=mistake["type"] == "missing")
    if mistake["type"] == "extra_forbidden":
        section, _, key = where.rpartition(".")
        if of := [name for name, method in METHODS.items() if key in method.keys.model_fields]:
            return f"config: unknown key {where}: it is a key of {of[0]}: write {section}.{of[0]}.{key}"
        return f"config: unknown key {where}: correct or remove it (config/schema.json lists all keys)"
    if mistake["type"] == "missing":
        return f"config: {where} is missing: add it (config/schema.json describes it)"
    if mistake["type"].startswith("union_tag"):
        key = mistake["ctx"]["discriminator"].strip("'")
        return f"config: {where}: `{key}` must be one of {', '.join(CHOICES[key])}"
    if mistake["type"] in ("model_type", "dict_type"):
        example = EXAMPLES.get(mistake.get("ctx", {}).get("class_name") or mistake["loc"][-1])
        advice = f", such as {example}" if example else ": write {} for the defaults"
        return f"config: {where} must contain keys{advice}"
    if mistake["type"] == "model_attributes_type":
        return f"config: {where} must contain keys, such as {{kind: slides, sheet: slides.csv}}"
    message = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "tuple_type":
        single = mistake["input"] if isinstance(mistake["input"], str | int | float) else None
        message = "must be a list" if single is None else f"must be a list: write [{single}]"
    if not where:
        return f"config: {message}"
    given = "" if isinstance(mistake["input"], dict) and mistake["input"] else f" = {str(mistake['input'])[:60]}"
    return f"config: {where}{given}: {message[0].lower()}{message[1:]}"


def _place(location: tuple[str | int, ...], values: Any, missing: bool) -> str:
    """Keys in the user's file that lead to an error; pydantic's location also names union members that it tried."""
    keys = []
    for part in location:
        in_list = isinstance(values, list) and isinstance(part, int) and part < len(values)
        if in_list or (isinstance(values, dict) and part in values):
            keys.append(str(part))
            values = values[part]
    if missing:
        keys.append(str(location[-1]))
    return ".".join(keys)


def read_backbones(path: Path) -> frozenset[str]:
    """Names in config/backbones.txt, one per line."""
    return frozenset(path.read_text().split())
