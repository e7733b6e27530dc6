# Inputs and params of the rules in evaluation.smk.
from gensis.settings.same_files import images_of, in_common
from gensis.settings.tasks import with_attention

MOST_HELD_OUT = 32  # largest number of test units whose images are held-out sources in the evaluation of a bank


@functools.cache
def tested_split(dataset: str) -> str:
    """The split whose images are tested: `test`, or `train` by cross-validation if there is no labelled test split."""
    units = UNITS[dataset]
    if not units.rows:
        return "test" if units.has_test else "train"
    labelled_by = "annotations" if any(row.annotations for row in units.rows) else "is_labelled"
    return "test" if any(row.split == "test" and getattr(row, labelled_by) for row in units.rows) else "train"


@functools.cache  # called for every job of evaluate_encoder
def is_learnt_from(dataset: str) -> bool:
    """Whether pre-training uses some of the tested images of a data set, even if another data set lists them."""
    trained_on, tested = (
        images_of(STUDY.datasets[name], UNITS[name].rows, split)
        for name, split in ((TRAINED_ON, "train"), (dataset, tested_split(dataset)))
    )
    return in_common(trained_on, tested)


def learnt_from(wildcards):
    """The index of the training images, if this study trains the encoder: used to find copies of tested images."""
    return [f"{IMAGES}/{TRAINED_ON}/train.tsv"] if wildcards.encoder in ENCODERS else []


def targets_table(wildcards):
    """Labels of slides for the targets of the sheet, if it has targets."""
    has_targets = getattr(STUDY.datasets[wildcards.dataset], "targets", {})
    return [f"{IMAGES}/{wildcards.dataset}/targets.tsv"] if has_targets else []


def corrupted_parts(wildcards):
    """Embeddings of corrupted images, for tested images only."""
    split = tested_split(wildcards.dataset)
    tested = embedding_parts(wildcards.encoder, wildcards.dataset, wildcards.seed, split)
    return [
        os.path.join(os.path.dirname(part), name, os.path.basename(part))
        for name in STUDY.evaluation.corruption_names
        for part in tested
    ]


def blocks_parts(wildcards):
    """Class tokens of the last blocks for all images, if a task of the study needs them."""
    if "last_blocks" not in STUDY.evaluation.further_inputs:
        return []
    parts = embedding_parts(wildcards.encoder, wildcards.dataset, wildcards.seed)
    return [os.path.join(os.path.dirname(part), "blocks", os.path.basename(part)) for part in parts]


def evaluation_options(wildcards):
    """Arguments of an encoder's evaluation: whether units are slides, their targets, and whether it was trained on
    tested images."""
    return options_with(wildcards, targets_table(wildcards))


def options_with(wildcards, targets: list[str]) -> str:
    """The same, with these tables of targets."""
    targets = " ".join(f"--targets {path}" for path in targets)
    slides = "--slides-are-units" if wildcards.dataset in SLIDE_DATASETS else ""
    seen = "--seen" if wildcards.encoder in ENCODERS and is_learnt_from(wildcards.dataset) else ""
    return " ".join(filter(None, (slides, targets, seen)))


def embeddings_to_fit(wildcards):
    """Embeddings of all images of the data set that classifiers are fitted on."""
    return embedding_parts(wildcards.encoder, wildcards.fit, wildcards.seed)


def transfer_options(wildcards):
    """Further arguments of an evaluation with the classifiers of another data set."""
    fit = wildcards.fit
    tables = ["--fit-units", f"{IMAGES}/{fit}/units.tsv", "--fit-labels", f"{IMAGES}/{fit}/labels.tsv"]
    slides = ["--fit-slides-are-units"] if fit in SLIDE_DATASETS else []
    of_fit = ["--fit", fit, *tables, *slides, "--fit-embeddings", *embeddings_to_fit(wildcards)]
    return f"{options_with(wildcards, [])} {shlex.join(of_fit)}".strip()


def benchmark_files(wildcards):
    """Files and folders of a benchmark, whose dates are ignored."""
    return [ancient(path) for path in STUDY.evaluation.benchmarks[wildcards.benchmark].needed]


def encoder_to_measure(wildcards):
    """The encoder, unless it is a baseline."""
    encoder = wildcards.encoder
    return [] if encoder in BASELINES else [f"{encoder_folder(encoder, wildcards.seed)}/provenance.json"]


def tasks_of_output(wildcards, output):
    """Names of the tasks whose results a rule writes."""
    return [Path(path).stem for path in output if path.endswith(".json")]


def evaluated_bank(wildcards):
    """Shards of a bank."""
    return bank_shards(wildcards.bank, wildcards.seed)


def evaluated_filter(wildcards):
    """Filter files of a bank, if it has a filter."""
    return filter_shards(wildcards.bank, wildcards.seed)


def bank_labels(wildcards):
    """Labels of the training images, if there are any."""
    return [f"{IMAGES}/{TRAINED_ON}/labels.tsv"] if has_labels(UNITS[TRAINED_ON]) else []


def held_out_stores(wildcards):
    """Stores of some evenly spaced units of the test split."""
    units = UNITS[TRAINED_ON].of_split("test")
    return stores(TRAINED_ON, units[:: -(-len(units) // MOST_HELD_OUT) or 1])


def judge_encoder(wildcards):
    """The encoder that judges view distances, if the study names one."""
    judge = STUDY.evaluation.judge
    return [f"{encoder_folder(judge, wildcards.seed)}/provenance.json"] if judge else []


def judge_embeddings(wildcards):
    """Its embeddings of the training images."""
    judge = STUDY.evaluation.judge
    return embedding_parts(judge, TRAINED_ON, wildcards.seed, "train") if judge else []


def bank_options(wildcards, input):
    """Optional arguments of a bank's evaluation."""
    return [
        *(["--slides-are-units"] if TRAINED_ON in SLIDE_DATASETS else []),
        *(["--filtered"] if input.filter else []),
        *(["--labels", *input.labels] if input.labels else []),
        *(["--held-out", *input.held_out] if input.held_out else []),
        *(["--judge", os.path.dirname(input.judge[0])] if input.judge else []),
        *(["--judge-embeddings", *input.judge_embeddings] if input.judge else []),
    ]


def main_arm_option() -> list[str]:
    """Argument with the main arm, if there are arms, or that the study trains no encoder."""
    if STUDY.pretraining is None:
        return ["--nothing-trained"]
    return ["--main-arm", STUDY.main_arm] if STUDY.main_arm else []


def external_encoders_option() -> list[str]:
    """Argument with the external encoders, if others are trained."""
    return ["--external", *STUDY.encoders] if STUDY.pretraining and STUDY.encoders else []
