# Gen-SIS: pre-train an encoder, train a diffusion model conditioned on its embeddings, generate a bank of
# self-augmentations once, and retrain the encoder with the bank.
from snakemake.utils import min_version

min_version("9.20")


include: "workflow/rules/repository.smk"


# The demo's config is only the default: a config that the user gives replaces it and is not merged with it. A module
# without a config of its own does not know what the user gives.
if not config:
    config.update(workflow.config_settings.overwrite_config)
# `rates` is no key of a study.
if not config.keys() - {"rates"}:

    configfile: str(REPOSITORY / "config" / "demo.yaml")


# The resource `gpu` limits local jobs only; a cluster's scheduler assigns GPUs to jobs.
resource_scopes:
    gpu="local",


# Makes trainings ignore finished results. Declared here so that jobs on other machines receive it.
if os.environ.get("GENSIS_RETRAIN"):

    envvars:
        "GENSIS_RETRAIN",


wildcard_constraints:
    encoder=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    dataset=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    unit=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    bank=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    seed=r"\d+",
    part=r"\d+",
    shard=r"\d+",


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/paths.smk"
include: "workflow/rules/params.smk"
include: "workflow/rules/job_sizes.smk"
include: "workflow/rules/demo.smk"
include: "workflow/rules/images.smk"
include: "workflow/rules/overlays.smk"
include: "workflow/rules/encoders.smk"
include: "workflow/rules/embeddings.smk"
include: "workflow/rules/diffusion.smk"
include: "workflow/rules/bank.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/export.smk"
include: "workflow/rules/clean.smk"


# The first part is Snakemake's own prefix.
shell.prefix(f"set -euo pipefail; . {shlex.quote(str(REPOSITORY / 'workflow/scripts/before_each_job.sh'))}; ")


rule all:
    """Make everything of the study, up to the report."""
    default_target: True
    input:
        needs_comparison,
        f"{RUN}/report.html",
        slide_overlays(),


rule images:
    """Tile or import all images."""
    input:
        f"{RUN}/config.yaml",
        slide_overlays(),
        [
            f"{IMAGES}/{dataset}/{table}.tsv"
            for dataset in UNITS
            for table in ("train", "units", "outcomes")
            if table != "train" or UNITS[dataset].of_split("train")
        ],


rule geojson:
    """Write the tile grids of all slides for QuPath."""
    input:
        f"{RUN}/config.yaml",
        refuse_nothing(
            [f"{IMAGES}/{dataset}/geojson" for dataset in SLIDE_DATASETS],
            "geojson has nothing to make: add a data set of kind: slides",
        ),


rule attention:
    """Write the attention of slide classifiers over test slides."""
    input:
        f"{RUN}/config.yaml",
        refuse_nothing(
            attention_folders(),
            "attention has nothing to make: add slides with labels to evaluation.datasets, an encoder, and abmil or "
            "dsmil to evaluation.slides",
        ),


rule encoders:
    """Train or import all encoders."""
    input:
        f"{RUN}/config.yaml",
        needs_pretraining,
        outcome_tables([TRAINED_ON]),
        [
            f"{encoder_folder(encoder, seed)}/provenance.json"
            for encoder in ALL_ENCODERS
            for seed in STUDY.stored_seeds(encoder)
        ],


rule embeddings:
    """Embed all images by all encoders."""
    input:
        f"{RUN}/config.yaml",
        outcome_tables(SLIDE_DATASETS),
        [
            path
            for encoder in (*ALL_ENCODERS, *BASELINES)
            for dataset in UNITS
            for seed in STUDY.stored_seeds(encoder)
            for path in embedding_parts(encoder, dataset, seed)
        ],


rule features:
    """Write the features of all slides, a file for each."""
    input:
        f"{RUN}/config.yaml",
        outcome_tables(SLIDE_DATASETS),
        refuse_nothing(
            features_folders(),
            "features has nothing to make: add a data set of kind: slides, and an encoder to encoders or pretraining "
            "(the target embeddings is for other images)",
        ),


rule diffusion:
    """Train the diffusion models of the banks."""
    input:
        f"{RUN}/config.yaml",
        needs_pretraining,
        outcome_tables([TRAINED_ON]),
        refuse_nothing(
            diffusion_models(),
            "diffusion has nothing to make: add a bank of generated images, for example banks: {default: {}}",
        ),


rule bank:
    """Make and evaluate the banks."""
    input:
        f"{RUN}/config.yaml",
        needs_pretraining,
        outcome_tables([TRAINED_ON]),
        [path for bank, seed in banks_with_seeds() for path in bank_shards(bank, seed)],
        refuse_nothing(
            [f"{RUN}/bank/{bank}/seed{seed}/quality.json" for bank, seed in banks_with_seeds()],
            "bank has nothing to make: add a bank, for example banks: {default: {}}",
        ),


rule evaluation:
    """Evaluate all encoders, without the report."""
    input:
        f"{RUN}/config.yaml",
        f"{RUN}/summary.csv",


rule export:
    """Write the images of `export` as files."""
    input:
        f"{RUN}/config.yaml",
        exported_files,


onsuccess:
    remove_abandoned_files()
    print(ending(), file=sys.stderr)
