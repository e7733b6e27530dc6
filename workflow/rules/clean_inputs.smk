# Params of the rules in clean.smk, and what is removed at the end of a run.
from gensis.artifacts.temporary import remove_abandoned


def image_folders(wildcards):
    """Folders of the data sets."""
    return [f"{IMAGES}/{dataset}" for dataset in UNITS]


def trained_option(wildcards):
    """Argument that says that all models and banks of the study exist: no job will resume from a checkpoint."""
    folders = [encoder_folder(encoder, seed) for encoder in ENCODERS for seed in STUDY.seeds]
    files = []
    for bank, seed in banks_with_seeds():
        files += bank_shards(bank, seed)
        if STUDY.banks[bank].is_generated:
            folders.append(f"{RUN}/diffusion/{STUDY.banks[bank].encoder}/seed{seed}")
            folders += [f"{RUN}/autoencoder/seed{seed}"] if STUDY.autoencoder_mode == "train" else []
    files += [f"{folder}/provenance.json" for folder in folders]
    return "--is-trained" if all(map(os.path.exists, files)) else ""


def remove_abandoned_files():
    """Remove the temporary files that killed jobs of this machine left in the folders of the run."""
    for folder in (RUN, *image_folders(None)):
        remove_abandoned(Path(folder))
