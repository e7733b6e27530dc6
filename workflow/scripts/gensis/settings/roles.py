"""What the encoders of a study are, in words. Derived from keys, because names of arms are the user's."""

from gensis.settings.methods import METHODS
from gensis.settings.pretraining import Pretraining, Retraining
from gensis.settings.study import Study

UNTRAINED = {"random": "an untrained encoder", "pixels": "raw pixels in place of embeddings"}
"""Encoders without training that every study is compared with -> what they are."""


def method(study: Study) -> str:
    """Proper name of the method of pre-training, after which the baseline is named."""
    return METHODS[study.baseline].title or study.baseline


def roles(study: Study) -> dict[str, str]:
    """Encoder -> what it is, for the baseline, the arms and the encoders without training, in this order."""
    arms = {name: _of_arm(study, arm) for name, arm in study.retraining.items()}
    return {study.baseline: "pre-trained on real images only"} | arms | UNTRAINED


def _of_arm(study: Study, arm: Retraining) -> str:
    """The bank of an arm, and what the arm lacks of the method."""
    if arm.bank is None:
        return f"trained without a bank, {_without_a_bank(arm, study.pretraining)}"
    bank = study.banks[arm.bank]
    disentangles = arm.disentangle_weight > 0
    parts = {
        f"retrained with the bank {arm.bank}": True,
        "the nearest real images of each source as a control": bank.kind == "neighbours",
        "the sources themselves as a control": bank.kind == "sources",
        "shuffled as a negative control": arm.shuffle_bank,
        "whose images are further views of the student": arm.adds_views,
        "without real images": not arm.real_images,
        "without generative views": arm.largest_generative_probability == 0,
        "without disentanglement": not disentangles,
        "interpolating pixels instead of embeddings": disentangles and arm.interpolation == "pixel",
        f"with the compute of {arm.match_compute}": arm.match_compute is not None,
    }
    return ", ".join(part for part, applies in parts.items() if applies)


def _without_a_bank(arm: Retraining, pretraining: Pretraining) -> str:
    """How an arm without a bank differs from pre-training."""
    others = [name for name in arm.differences(pretraining) if name not in ("epochs", "init")]
    goes_on = arm.init if arm.init != pretraining.init else None
    parts = {
        f"with the compute of {arm.match_compute}": arm.match_compute is not None,
        f"for {arm.epochs} epochs instead of {pretraining.epochs}": (
            arm.match_compute is None and arm.epochs != pretraining.epochs
        ),
        f"going on from {goes_on}": bool(goes_on),
        f"with other {', '.join(others)}": bool(others),
    }
    return ", ".join(part for part, applies in parts.items() if applies)
