# Inputs and params of the rules in diffusion.smk.
from gensis.diffusion import AUTOENCODER_RECIPE
from gensis.diffusion import RECIPE as DIFFUSION_RECIPE


def perceptual_encoder(wildcards):
    """The encoder of the autoencoder's perceptual term, if it has one: the study's own first encoder."""
    weighs = STUDY.autoencoder_training.perceptual_weight > 0
    return [f"{encoder_folder(BASELINE_ENCODER, wildcards.seed)}/provenance.json"] if weighs else []


def perceptual_option(wildcards):
    """Argument with the encoder of the perceptual term."""
    return [word for path in perceptual_encoder(wildcards) for word in ("--encoder", os.path.dirname(path))]


def autoencoder_input(wildcards):
    """The autoencoder that this study trains, or the files of an external one, whose dates are ignored."""
    mode = STUDY.autoencoder_mode
    if mode == "train":
        return [f"{RUN}/autoencoder/seed{wildcards.seed}/provenance.json"]
    return [] if mode == "none" else [ancient(str(file)) for file in autoencoder_files(Path(from_here(mode)))]


def autoencoder_content(wildcards):
    """Content id of an external autoencoder, to detect changes."""
    mode = STUDY.autoencoder_mode
    return "" if mode in ("none", "train") else quick_id(*autoencoder_files(Path(from_here(mode))))


def autoencoder_folder(wildcards):
    """Folder of the autoencoder, trained by this study or external; empty for pixel diffusion."""
    mode = STUDY.autoencoder_mode
    if mode == "none":
        return ""
    return f"{RUN}/autoencoder/seed{wildcards.seed}" if mode == "train" else from_here(mode)


def autoencoder_option(wildcards):
    """Argument with the autoencoder."""
    path = autoencoder_folder(wildcards)
    return ["--autoencoder", path] if path else []
