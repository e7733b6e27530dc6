# Inputs and params of the rules in encoders.smk.
from gensis.settings.pretraining import OF_NETWORKS
from gensis.ssl import RECIPE as ENCODER_RECIPE


def initial_encoder(wildcards):
    """The encoder that a training is initialised with, if any."""
    name = STUDY.training_settings(wildcards.get("encoder", BASELINE_ENCODER)).init
    return [f"{encoder_folder(name, wildcards.seed)}/provenance.json"] if name else []


def initial_option(wildcards):
    """Argument with the encoder that a training is initialised with."""
    return [word for path in initial_encoder(wildcards) for word in ("--init", os.path.dirname(path))]


def arms_with_other_networks(wildcards):
    """An arm for each kind of networks that differs from the baseline's -> the keys that they are built with, as JSON."""

    def built_with(encoder):
        return STUDY.training_settings(encoder).model_dump_json(include=OF_NETWORKS)

    arms = {built_with(arm): arm for arm in reversed(STUDY.retraining)}
    arms.pop(built_with(BASELINE_ENCODER), None)
    return json.dumps({arm: json.loads(settings) for settings, arm in arms.items()})


def retraining_bank(wildcards, files=bank_shards):
    """Shards of the bank that an arm is trained with, if any: those of the same seed, unless the bank has one seed."""
    bank = STUDY.retraining[wildcards.encoder].bank
    if bank is None:
        return []
    made_for = STUDY.banks[bank].seed
    return files(bank, wildcards.seed if made_for is None else made_for)


def retraining_filter(wildcards):
    """Filter files of this bank, if it has a filter."""
    return retraining_bank(wildcards, filter_shards)


def bank_option(wildcards, input):
    """Arguments with the bank of a retraining."""
    bank = ["--bank", os.path.dirname(input.bank[0])] if input.bank else []
    return [*bank, "--filtered"] if input.filter else bank


def external_files(wildcards):
    """Weight files of an external encoder, whose dates are ignored. None if timm downloads the weights."""
    path = STUDY.encoders[wildcards.encoder].path
    return [ancient(str(file)) for file in weight_files(Path(path))] if path else []


@functools.cache
def external_id(encoder):
    """Content id of an external encoder's weights; empty if timm downloads them."""
    path = STUDY.encoders[encoder].path
    return quick_id(*weight_files(Path(path))) if path else ""


def external_content(wildcards):
    """The same as a param, to detect changes."""
    return external_id(wildcards.encoder)


def external_option(wildcards):
    """Argument with the path of external weights."""
    path = STUDY.encoders[wildcards.encoder].path
    return ["--path", path] if path else []
