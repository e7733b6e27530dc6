# Inputs and params of the rules in embeddings.smk.
LAST_BLOCKS = 4  # blocks whose class tokens DINO's linear protocol uses


def embedding_inputs(wildcards):
    """The image stores of a part, and the encoder unless it is a baseline."""
    units = part_units(wildcards.dataset)[int(wildcards.part)]
    encoder = (
        []
        if wildcards.encoder in BASELINES
        else [f"{encoder_folder(wildcards.encoder, wildcards.seed)}/provenance.json"]
    )
    return {"stores": stores(wildcards.dataset, units), "encoder": encoder}


def embedded_units(wildcards):
    """Names of the units of a part."""
    return [unit.name for unit in part_units(wildcards.dataset)[int(wildcards.part)]]


BASELINE_OPTIONS = {
    "pixels": lambda: ["--pixels"],
    "random": lambda: ["--random", settings_json("untrained")],
}


def encoder_option(wildcards):
    """Argument with the encoder: a baseline, or the folder of a trained encoder."""
    if wildcards.encoder in BASELINES:
        return BASELINE_OPTIONS[wildcards.encoder]()
    return ["--encoder", encoder_folder(wildcards.encoder, wildcards.seed)]
