# Input and params functions of the rules, in the order of the stages; no rules here.
MOST_HELD_OUT = 32  # largest number of test units whose images are held-out sources in the evaluation of a bank
LAST_BLOCKS = 4  # blocks whose class tokens DINO's linear protocol uses


def slide_content(wildcards):
    """Version of a slide and its mask. It changes with their contents, but not if a copy has another date; after a
    failure it changes with any change of the files. Slides of the demo have no version, since a rule creates them.
    """
    name, row = f"{wildcards.dataset}/{wildcards.unit}", slide(wildcards).row
    if is_drawn(row.path):
        return ""

    def failed():
        path = Path(IMAGES, f"{name}.json")
        return path.exists() and read_json(path)["outcome"] in ("unreadable", "partial")

    return CONTENTS.version(name, slide_files(row.path), (row.mask,) if row.mask else (), failed)


def slide_inputs(wildcards):
    """The slide and its mask. Their dates are ignored, since params contain the version of their contents."""
    row = slide(wildcards).row
    return {"slide": ancient(row.path), "mask": [ancient(row.mask)] if row.mask else []}


def slide_options(wildcards):
    """Arguments from the slide's own line in the sheet."""
    row = slide(wildcards).row
    return (["--mpp", str(row.mpp)] if row.mpp else []) + (["--mask", row.mask] if row.mask else [])


def indexed_units(wildcards):
    """Units that a table lists."""
    units = UNITS[wildcards.dataset]
    return units.of_split("train") if wildcards.table == "train" else units.units


def indexed_files(wildcards):
    """Files that a table depends on. Files implied by others are left out, since each file per unit slows planning."""
    dataset = wildcards.dataset
    if wildcards.table == "labels":
        return labelled_files(dataset)
    if wildcards.table == "outcomes":
        return [f"{IMAGES}/{dataset}/units.tsv"]
    files = stores if thresholds(dataset) else outcomes
    return files(dataset, indexed_units(wildcards))


def labelled_files(dataset):
    """Files that labels are read from: annotations, and stores, for keys of images or positions of tiles."""
    if dataset not in SLIDE_DATASETS:
        return stores(dataset, UNITS[dataset].units)
    annotated = [unit for unit in UNITS[dataset].units if unit.row.annotations]
    return stores(dataset, annotated) + [ancient(unit.row.annotations) for unit in annotated]


def thresholds(dataset):
    """Quality thresholds that select images of a data set, as JSON; empty if all images are used."""
    chosen_by = STUDY.datasets[dataset].quality if dataset in SLIDE_DATASETS else None
    return canonical_json(chosen_by) if chosen_by else ""


def indexed_sheet(wildcards):
    """Digest of the values that a table takes from sheet and thresholds. Labels do not affect tables for training."""
    units = UNITS[wildcards.dataset]
    if wildcards.table == "labels":
        listed = [[row.name, row.label, row.group, row.split] for row in units.rows]
        return digest([*listed, *annotated_with(wildcards.dataset)])
    groups = wildcards.table == "units"
    listed = [
        [unit.name, unit.split, unit.row.group if groups and unit.row else ""] for unit in indexed_units(wildcards)
    ]
    return digest([*listed, thresholds(wildcards.dataset), *failures_allowed(wildcards)])


def failures_allowed(wildcards):
    """Limits of failed tiles and of failed slides. They are checked when images are indexed, so that a changed limit
    does not read slides again.

    Failed slides are counted whenever a table is written; only `outcomes.tsv` depends on their limit.
    """
    dataset = STUDY.datasets[wildcards.dataset]
    slides = [dataset.max_failed_slides] if wildcards.table == "outcomes" and dataset.kind == "slides" else []
    return [dataset.max_failed_fraction, *slides]


def annotated_with(dataset):
    """Annotations and their version, of each slide that has annotations."""
    return [
        [row.name, row.annotations, CONTENTS.version(f"{dataset}/{row.name}/annotations", (), (row.annotations,))]
        for row in UNITS[dataset].rows
        if row.annotations
    ]


def sheet_of(wildcards):
    """The data set's sheet. Its date is ignored, since params contain a digest of the values that are used."""
    path = sheet(STUDY, wildcards.dataset)
    return [ancient(str(path))] if path else []


def sheet_option(wildcards, output):
    """Argument that names the sheet."""
    path = sheet(STUDY, wildcards.dataset)
    return ["--sheet", str(path)] if path else []


def dataset_json(wildcards, output):
    """All settings of a data set, including its sheet. Derived: other params track the settings that matter."""
    return STUDY.datasets[wildcards.dataset].model_dump_json()


def size_and_date(path):
    """Size and date of an image file, to detect changes: there are too many bytes to read them when planning."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


@functools.cache  # called for every shard
def source_files(dataset):
    """Digest of sizes and dates of the files in a sheet, or of the HDF5 file; other sources are not tracked."""
    settings = STUDY.datasets[dataset]
    listed = [[row.path, row.split, *size_and_date(row.path)] for row in UNITS[dataset].rows]
    return digest(listed + ([size_and_date(settings.path)] if settings.kind == "hdf5" else []))


def needs_pretraining(wildcards):
    """No input. Exits with one line if the target needs pre-training but the config has none."""
    if STUDY.pretraining is None:
        sys.exit("error: config: pretraining is missing: add it, or run images, features, embeddings or evaluation")
    return []


def train_table(wildcards):
    """The index of the training images."""
    return needs_pretraining(wildcards) or f"{IMAGES}/{TRAINED_ON}/train.tsv"


def external_files(wildcards):
    """Weight files of an external encoder, whose dates are ignored. None if timm downloads the weights."""
    path = STUDY.encoders[wildcards.encoder].path
    return [ancient(str(file)) for file in weight_files(Path(from_here(path)))] if path else []


@functools.cache
def external_content(encoder):
    """Content id of an external encoder's weights, to detect changes."""
    path = STUDY.encoders[encoder].path
    return quick_id(*weight_files(Path(from_here(path)))) if path else ""


def external_option(wildcards, output):
    """Argument with the path of external weights."""
    path = STUDY.encoders[wildcards.encoder].path
    return ["--path", from_here(path)] if path else []


def initial_encoder(wildcards):
    """The encoder that a training is initialised with, if any."""
    name = STUDY.training_settings(wildcards.get("encoder", "dino")).init
    return [f"{encoder_folder(name, wildcards.seed)}/provenance.json"] if name else []


def initial_option(wildcards, output):
    """Argument with the encoder that a training is initialised with."""
    return [word for path in initial_encoder(wildcards) for word in ("--init", os.path.dirname(path))]


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


def untrained_encoder(wildcards):
    """Settings of the untrained backbone of the baseline `random`; empty for other encoders."""
    if wildcards.encoder != "random":
        return ""
    keys = {"dataset", "backbone", "backbone_args", "image_px"}
    return json.dumps(STUDY.pretraining.model_dump(mode="json", include=keys), sort_keys=True)


def encoder_options(wildcards, output):
    """Arguments with the encoder, the corruption of images if any, and the features to extract."""
    other = ["--corruption", wildcards.corruption] if "corruption" in wildcards.keys() else []
    if os.path.basename(os.path.dirname(output[0])) == "blocks":
        other = ["--last-blocks", str(LAST_BLOCKS)]
    if wildcards.encoder == "pixels":
        return ["--pixels", *other]
    if wildcards.encoder == "random":
        return ["--random", untrained_encoder(wildcards), *other]
    return ["--encoder", encoder_folder(wildcards.encoder, wildcards.seed), *other]


def blocks_parts(wildcards):
    """Class tokens of the last blocks for all images, if a task of the study needs them."""
    if "last_blocks" not in STUDY.evaluation.further_inputs:
        return []
    parts = embedding_parts(wildcards.encoder, wildcards.dataset, wildcards.seed)
    return [os.path.join(os.path.dirname(part), "blocks", os.path.basename(part)) for part in parts]


def corrupted_parts(wildcards):
    """Embeddings of corrupted images, for tested images only."""
    split = tested_split(wildcards.dataset)
    tested = embedding_parts(wildcards.encoder, wildcards.dataset, wildcards.seed, split)
    return [
        os.path.join(os.path.dirname(part), name, os.path.basename(part))
        for name in STUDY.evaluation.corruption_names
        for part in tested
    ]


def perceptual_encoder(wildcards):
    """The encoder of the autoencoder's perceptual term, if it has one: the study's own `dino`."""
    weighs = STUDY.autoencoder_training.perceptual_weight > 0
    return [f"{encoder_folder('dino', wildcards.seed)}/provenance.json"] if weighs else []


def perceptual_option(wildcards, output):
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


def autoencoder_option(wildcards, output):
    """Argument with the autoencoder."""
    path = autoencoder_folder(wildcards)
    return ["--autoencoder", path] if path else []


def quality(wildcards):
    """Quality thresholds of a data set's tiles, as JSON."""
    return thresholds(wildcards.dataset) or "{}"


def stored_settings(wildcards):
    """Digest of the settings that config.yaml and the report depend on: values and the order of arms, not of keys."""
    values = {name: value for name, value in STUDY.resolved().items() if name != "runtime"}
    return digest([json.dumps(values, sort_keys=True), list(STUDY.retraining)])


def resolved_study(wildcards, output):
    """The whole study as JSON. Derived: other params track the settings that matter."""
    return json.dumps(STUDY.resolved())


def report_inputs(wildcards):
    """All files that the report shows."""
    histories = [f"{encoder_folder(encoder, seed)}/provenance.json" for encoder in ENCODERS for seed in STUDY.seeds]
    knn_histories = [
        f"{RUN}/evaluation/{encoder}/{TRAINED_ON}/seed{seed}/knn_history.csv"
        for encoder in ENCODERS
        for seed in STUDY.seeds
        if TRAINED_ON in EVALUATED
    ]
    banks = [path for bank, seed in banks_with_seeds() for path in bank_shards(bank, seed)]
    banks += [f"{RUN}/bank/{bank}/seed{seed}/quality.json" for bank, seed in banks_with_seeds()]
    tables = [f"{IMAGES}/{dataset}/{table}.tsv" for dataset in UNITS for table in ("units", "outcomes")]
    return histories + knn_histories + banks + tables


def finished_run(wildcards):
    """No input: checks that all files of the run exist, and exits with one line if one is missing. It makes none."""
    tables = [f"{IMAGES}/{TRAINED_ON}/train.tsv", f"{RUN}/config.yaml", f"{RUN}/summary.csv", f"{RUN}/report.html"]
    units = [path for dataset in UNITS for files in (stores, outcomes) for path in files(dataset, UNITS[dataset].units)]
    for path in [*needs_pretraining(wildcards), *units, *report_inputs(wildcards), *evaluations(), *tables]:
        if not os.path.exists(path):
            sys.exit(f"error: the run is not finished: {path} is missing: run snakemake first")
    return []


def bank_labels(wildcards):
    """Labels of the training images, if there are any."""
    return [f"{IMAGES}/{TRAINED_ON}/labels.tsv"] if has_labels(TRAINED_ON) else []


def held_out_stores(wildcards):
    """Stores of some evenly spaced units of the test split."""
    units = UNITS[TRAINED_ON].of_split("test")
    return stores(TRAINED_ON, units[:: -(-len(units) // MOST_HELD_OUT) or 1])


def bank_options(wildcards, input):
    """Optional arguments of a bank's evaluation."""
    return [
        *(["--slides-are-units"] if TRAINED_ON in SLIDE_DATASETS else []),
        *(["--filtered"] if input.filter else []),
        *(["--labels", *input.labels] if input.labels else []),
        *(["--held-out", *input.held_out] if input.held_out else []),
    ]


def first_view(wildcards):
    """Settings that ordinary views and the untrained encoder depend on."""
    keys = {"dataset", "backbone", "backbone_args", "image_px", "views"}
    return json.dumps(STUDY.pretraining.model_dump(mode="json", include=keys), sort_keys=True)


def evaluation_options(wildcards):
    """Arguments of an encoder's evaluation: whether units are slides, and whether it was trained on tested images."""
    slides = "--slides-are-units" if wildcards.dataset in SLIDE_DATASETS else ""
    seen = "--seen" if wildcards.encoder in ENCODERS and is_learnt_from(wildcards.dataset) else ""
    return f"{slides} {seen}".strip()


def learnt_from(wildcards):
    """The index of the training images, if this study trains the encoder: used to find copies of tested images."""
    return [f"{IMAGES}/{TRAINED_ON}/train.tsv"] if wildcards.encoder in ENCODERS else []


def tasks_of_output(wildcards, output):
    """Names of the tasks whose results a rule writes."""
    return [Path(path).stem for path in output if path.endswith(".json")]


def ending() -> str:
    """Message at the end of a run: slides without images, and the path of the report."""
    lines = []
    for dataset in UNITS:
        table = Path(IMAGES, dataset, "outcomes.tsv")
        rows = read_table(table) if table.exists() else []
        empty = [row for row in rows if row["images"] == "0"]
        if empty:
            kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(row["outcome"] for row in empty).items())
            lines.append(f"{dataset}: {len(empty)} of {len(rows)} slides gave no images ({kinds}); reasons: {table}")
    page = Path(RUN, "report.html")
    return "\n".join([*lines, f"The report is {page.resolve()}"] if page.exists() else lines)
