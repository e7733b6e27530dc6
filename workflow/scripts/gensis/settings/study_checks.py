"""Checks across the sections of a study."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from gensis.settings.methods import METHODS
from gensis.settings.pretraining import Pretraining, Retraining

if TYPE_CHECKING:
    from gensis.settings.study import Study

RESERVED = (*METHODS, "random", "pixels", "chance")
"""Names of encoders that every study has."""


def check_names(study: "Study") -> None:
    """Check that names which sections refer to exist, and that no name means two things.

    Raises:
        ValueError: the first mistake.
    """
    for name in study.evaluation.datasets:
        _known("evaluation.datasets", name, study.datasets)
    _transfers_exist(study)
    _refuse_benchmarks_named_like_datasets(study)
    if study.export:
        for section, names in (("datasets", study.used_datasets), ("banks", study.banks)):
            for name in getattr(study.export, section):
                _known(f"export.{section}", name, names)
    if study.evaluation.judge is not None:
        _known("evaluation.judge", study.evaluation.judge, study.encoders)
    for section, names in (("retraining", study.retraining), ("encoders", study.encoders)):
        if taken := [name for name in names if name in RESERVED]:
            raise ValueError(f"{section}.{taken[0]}: {', '.join(RESERVED)} are reserved: choose another name")
    if both := [name for name in study.encoders if name in study.retraining]:
        raise ValueError(f"encoders.{both[0]}: this name is also in retraining: choose another name")
    if study.pretraining:
        _names_of_trainings_exist(study, study.pretraining)


def _refuse_benchmarks_named_like_datasets(study: "Study") -> None:
    if both := [name for name in study.evaluation.benchmarks if name in study.datasets]:
        raise ValueError(f"evaluation.benchmarks.{both[0]}: a data set has this name: choose another name")


def _transfers_exist(study: "Study") -> None:
    evaluation, results = study.evaluation, []
    for number, transfer in enumerate(evaluation.transfer):
        for name in (transfer.fit, *transfer.test):
            _known(f"evaluation.transfer.{number}", name, evaluation.datasets)
        results += transfer.results.values()
    if twice := [name for name in results if results.count(name) > 1 or name in study.datasets]:
        raise ValueError(f"evaluation.transfer: {twice[0]} names two results: list each once, or rename a data set")
    if results and not (evaluation.transfer_tasks or evaluation.slide_transfer_tasks):
        raise ValueError("evaluation.transfer: `knn`, `linear` and `slides` are switched off: switch one on")


def _names_of_trainings_exist(study: "Study", pretraining: Pretraining) -> None:
    _known("pretraining.dataset", pretraining.dataset, study.datasets)
    _known_start("pretraining", pretraining, list(study.encoders))
    for name, arm in study.retraining.items():
        _names_of_arm_exist(study, name, arm, pretraining)
    for name, bank in study.banks.items():
        _known(f"banks.{name}.encoder", bank.encoder, [*study.trained_encoders, *study.encoders])
        _refuse_cycle(study, name)
        if bank.seed is not None:
            _known(f"banks.{name}.seed", bank.seed, study.seeds)
        if bank.sampler == "heun" and study.diffusion.objective != "flow":
            raise ValueError(f"banks.{name}.sampler: heun needs diffusion.objective flow: choose auto or dpm++")


def _names_of_arm_exist(study: "Study", name: str, arm: Retraining, pretraining: Pretraining) -> None:
    where = f"retraining.{name}"
    _known(f"{where}.dataset", arm.dataset, [pretraining.dataset])
    _known_start(where, arm, [study.baseline, *study.encoders])
    if arm.init == study.baseline and arm.backbone != pretraining.backbone:
        raise ValueError(
            f"{where}.init: {study.baseline} has the backbone {pretraining.backbone}, and this arm {arm.backbone}: "
            "use one backbone, or remove `init`"
        )
    if arm.match_compute is not None:
        others = [other for other, settings in study.retraining.items() if settings.match_compute is None]
        _known(f"{where}.match_compute", arm.match_compute, others)
    if arm.bank is None:
        if arm.match_compute is None and not arm.differences(pretraining):
            raise ValueError(
                f"{where}.bank is missing: without it this arm equals {study.baseline}: set it, or to train without "
                "a bank set `match_compute`, other `epochs` or another key"
            )
        return
    _known(f"{where}.bank", arm.bank, study.banks)
    _bank_has_images_for_arm(study, where, arm)


def _bank_has_images_for_arm(study: "Study", where: str, arm: Retraining) -> None:
    bank = study.banks[arm.bank]
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


def _refuse_cycle(study: "Study", bank: str) -> None:
    seen = [bank]
    while (encoder := study.banks[bank].encoder) in study.retraining:
        bank = study.retraining[encoder].bank
        if bank is None:
            return
        if bank in seen:
            raise ValueError(f"banks.{bank}.encoder: {encoder} is itself trained on this bank: break the cycle")
        seen.append(bank)


def check_sizes(study: "Study") -> None:
    """Check that the sizes of generated images and of the networks that make them fit.

    Raises:
        ValueError: the first mistake.
    """
    if not any(bank.is_generated for bank in study.banks.values()):
        return
    if 2 * study.diffusion_px < study.pretraining.image_px:
        raise ValueError(
            f"diffusion.image_px {study.diffusion_px} is below half of pretraining.image_px "
            f"{study.pretraining.image_px}, so views of generated images would be blurred: generate larger images"
        )
    halvings = len(study.diffusion.channels) - 1
    if study.autoencoder_mode == "train":
        halvings += len(study.autoencoder_training.channels) - 1
    if study.diffusion_px % 2**halvings:
        raise ValueError(
            f"diffusion.image_px {study.diffusion_px} cannot be halved {halvings} times: "
            "use a multiple of a power of two, or fewer `channels`"
        )
    halvings = len(study.autoencoder_training.channels) - 1
    if study.autoencoder_mode == "train" and study.autoencoder_px % 2**halvings:
        raise ValueError(
            f"autoencoder_training.image_px {study.autoencoder_px} cannot be halved {halvings} times: "
            "use a multiple of a power of two, or fewer `channels`"
        )


def _known(where: str, name: str | int, names: Collection[str | int]) -> None:
    if name not in names:
        known = f"is not one of {', '.join(map(str, names))}" if names else "does not exist: none is defined"
        raise ValueError(f"{where}: '{name}' {known}")


def _known_start(section: str, training: Pretraining, names: Collection[str]) -> None:
    if training.init is not None:
        _known(f"{section}.init", training.init, names)
