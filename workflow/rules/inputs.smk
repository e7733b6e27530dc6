# Functions that rules take inputs and params from, in the order of the stages; no rules here.
MOST_HELD_OUT = 32  # units of the test split that a bank's measurement generates images of
LAST_BLOCKS = 4  # whose class tokens DINO's linear protocol takes


def slide_content(wildcards):
    """Version of a slide with its mask: a copy with a new date reruns nothing, other contents do, and after a failure
    any change. A drawn slide is known by its rule.
    """
    name, row = f"{wildcards.dataset}/{wildcards.unit}", slide(wildcards).row
    if is_drawn(row.path):
        return ""

    def failed():
        path = Path(IMAGES, f"{name}.json")
        return path.exists() and read_json(path)["outcome"] in ("unreadable", "partial")

    return CONTENTS.version(name, slide_files(row.path), (row.mask,) if row.mask else (), failed)


def slide_inputs(wildcards):
    """The slide and its mask; their dates rerun nothing, since what matters of them is in the params."""
    row = slide(wildcards).row
    return {"slide": ancient(row.path), "mask": [ancient(row.mask)] if row.mask else []}


def slide_options(wildcards):
    """What the sheet says of this slide alone."""
    row = slide(wildcards).row
    return (["--mpp", str(row.mpp)] if row.mpp else []) + (["--mask", row.mask] if row.mask else [])


def indexed_units(wildcards):
    """Units that a table lists."""
    units = UNITS[wildcards.dataset]
    return units.of_split("train") if wildcards.table == "train" else units.units


def indexed_files(wildcards):
    """Files that a table is read from. Each file of a unit costs time to plan, so none is named that another implies."""
    dataset = wildcards.dataset
    if wildcards.table == "labels":
        return labelled_files(dataset)
    if wildcards.table == "outcomes":
        return [f"{IMAGES}/{dataset}/units.tsv"]
    files = stores if thresholds(dataset) else outcomes
    return files(dataset, indexed_units(wildcards))


def labelled_files(dataset):
    """Files that labels are read from: stores, for an image's key or a tile's place, and annotations."""
    if dataset not in SLIDE_DATASETS:
        return stores(dataset, UNITS[dataset].units)
    annotated = [unit for unit in UNITS[dataset].units if unit.row.annotations]
    return stores(dataset, annotated) + [ancient(unit.row.annotations) for unit in annotated]


def thresholds(dataset):
    """What chooses among a data set's images, as JSON; empty where all are used."""
    chosen_by = STUDY.datasets[dataset].quality if dataset in SLIDE_DATASETS else None
    return canonical_json(chosen_by) if chosen_by else ""


def indexed_sheet(wildcards):
    """What a table takes from sheet and thresholds, as a digest: a corrected label changes no table that trains."""
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
    """When a slide, and when a run, is given up: checked when images are indexed, so that a change reads none again.

    Slides that failed are counted whenever a table is written, and again by `outcomes.tsv` when more or fewer may.
    """
    dataset = STUDY.datasets[wildcards.dataset]
    slides = [dataset.max_failed_slides] if wildcards.table == "outcomes" and dataset.kind == "slides" else []
    return [dataset.max_failed_fraction, *slides]


def annotated_with(dataset):
    """The annotations of each slide that has some."""
    return [
        [row.name, row.annotations, CONTENTS.version(f"{dataset}/{row.name}/annotations", (), (row.annotations,))]
        for row in UNITS[dataset].rows
        if row.annotations
    ]


def sheet_of(wildcards):
    """The data set's sheet; its date reruns nothing, since what matters in it is in the params."""
    path = sheet(STUDY, wildcards.dataset)
    return [ancient(str(path))] if path else []


def sheet_option(wildcards, output):
    """Argument that names the sheet."""
    path = sheet(STUDY, wildcards.dataset)
    return ["--sheet", str(path)] if path else []


def dataset_json(wildcards, output):
    """All settings of a data set, sheet included. Derived: what matters of them is tracked by the other params."""
    return STUDY.datasets[wildcards.dataset].model_dump_json()


def size_and_date(path):
    """What tells an edited file of images: too large, or too many, to be read when planning."""
    found = os.stat(path)
    return [found.st_size, found.st_mtime_ns]


@functools.cache  # asked for by every shard
def source_files(dataset):
    """Sizes and dates of the files that a sheet lists, or of the packed one, as a digest; nothing for other sources."""
    settings = STUDY.datasets[dataset]
    listed = [[row.path, row.split, *size_and_date(row.path)] for row in UNITS[dataset].rows]
    return digest(listed + ([size_and_date(settings.path)] if settings.kind == "hdf5" else []))


def needs_pretraining(wildcards):
    """No file: ends with one line where something is asked for that only a training gives."""
    if STUDY.pretraining is None:
        sys.exit("error: config: pretraining is missing: add it, or ask for images, features, embeddings or evaluation")
    return []


def train_table(wildcards):
    """The images that are learnt from."""
    return needs_pretraining(wildcards) or f"{IMAGES}/{TRAINED_ON}/train.tsv"


def external_files(wildcards):
    """Files of an encoder trained elsewhere; a copy with a new date reruns nothing. None if timm downloads it."""
    path = STUDY.encoders[wildcards.encoder].path
    return [ancient(str(file)) for file in weight_files(Path(from_here(path)))] if path else []


@functools.cache
def external_content(encoder):
    """What tells weights from others of the same size."""
    path = STUDY.encoders[encoder].path
    return quick_id(*weight_files(Path(from_here(path)))) if path else ""


def external_option(wildcards, output):
    """Argument that names where the weights are."""
    path = STUDY.encoders[wildcards.encoder].path
    return ["--path", from_here(path)] if path else []


def initial_encoder(wildcards):
    """The encoder that a training starts from, if it does."""
    name = STUDY.training_settings(wildcards.get("encoder", "dino")).init
    return [f"{encoder_folder(name, wildcards.seed)}/provenance.json"] if name else []


def initial_option(wildcards, output):
    """Argument that names the encoder to start from."""
    return [word for path in initial_encoder(wildcards) for word in ("--init", os.path.dirname(path))]


def retraining_bank(wildcards, files=bank_shards):
    """The bank that an arm learns from, if it does: of the same seed, unless the bank is made for one seed alone."""
    bank = STUDY.retraining[wildcards.encoder].bank
    if bank is None:
        return []
    made_for = STUDY.banks[bank].seed
    return files(bank, wildcards.seed if made_for is None else made_for)


def retraining_filter(wildcards):
    """What is kept of that bank, where it has a filter."""
    return retraining_bank(wildcards, filter_shards)


def bank_option(wildcards, input):
    """Arguments that name the bank."""
    bank = ["--bank", os.path.dirname(input.bank[0])] if input.bank else []
    return [*bank, "--filtered"] if input.filter else bank


def embedding_inputs(wildcards):
    """The image stores of a part and, unless it is a baseline, the encoder."""
    units = part_units(wildcards.dataset)[int(wildcards.part)]
    encoder = (
        []
        if wildcards.encoder in BASELINES
        else [f"{encoder_folder(wildcards.encoder, wildcards.seed)}/provenance.json"]
    )
    return {"stores": stores(wildcards.dataset, units), "encoder": encoder}


def embedded_units(wildcards):
    """Names of a part's units."""
    return [unit.name for unit in part_units(wildcards.dataset)[int(wildcards.part)]]


def untrained_encoder(wildcards):
    """Settings of the backbone that the random baseline starts from; nothing for other encoders."""
    if wildcards.encoder != "random":
        return ""
    keys = {"dataset", "backbone", "backbone_args", "image_px"}
    return json.dumps(STUDY.pretraining.model_dump(mode="json", include=keys), sort_keys=True)


def encoder_options(wildcards, output):
    """Arguments that name the encoder, the damage if images are damaged before, and what is read off it."""
    other = ["--corruption", wildcards.corruption] if "corruption" in wildcards.keys() else []
    if os.path.basename(os.path.dirname(output[0])) == "blocks":
        other = ["--last-blocks", str(LAST_BLOCKS)]
    if wildcards.encoder == "pixels":
        return ["--pixels", *other]
    if wildcards.encoder == "random":
        return ["--random", untrained_encoder(wildcards), *other]
    return ["--encoder", encoder_folder(wildcards.encoder, wildcards.seed), *other]


def blocks_parts(wildcards):
    """The last blocks' class tokens of all images, where DINO's linear protocol is asked for."""
    if not STUDY.evaluation.linear_sgd:
        return []
    parts = embedding_parts(wildcards.encoder, wildcards.dataset, wildcards.seed)
    return [os.path.join(os.path.dirname(part), "blocks", os.path.basename(part)) for part in parts]


def corrupted_parts(wildcards):
    """Embeddings of corrupted images: of those that are tested."""
    split = tested_split(wildcards.dataset)
    tested = embedding_parts(wildcards.encoder, wildcards.dataset, wildcards.seed, split)
    return [
        os.path.join(os.path.dirname(part), name, os.path.basename(part))
        for name in STUDY.evaluation.corruption_names
        for part in tested
    ]


def perceptual_encoder(wildcards):
    """The encoder that the autoencoder's perceptual term looks with, if it has one: the study's own `dino`."""
    weighs = STUDY.autoencoder_training.perceptual_weight > 0
    return [f"{encoder_folder('dino', wildcards.seed)}/provenance.json"] if weighs else []


def perceptual_option(wildcards, output):
    """Argument that names this encoder."""
    return [word for path in perceptual_encoder(wildcards) for word in ("--encoder", os.path.dirname(path))]


def autoencoder_input(wildcards):
    """The autoencoder that this study trains, or the files of one trained elsewhere, whose dates rerun nothing."""
    mode = STUDY.autoencoder_mode
    if mode == "train":
        return [f"{RUN}/autoencoder/seed{wildcards.seed}/provenance.json"]
    return [] if mode == "none" else [ancient(str(file)) for file in autoencoder_files(Path(from_here(mode)))]


def autoencoder_content(wildcards):
    """What tells an autoencoder trained elsewhere from others of the same size."""
    mode = STUDY.autoencoder_mode
    return "" if mode in ("none", "train") else quick_id(*autoencoder_files(Path(from_here(mode))))


def autoencoder_folder(wildcards):
    """Folder of the autoencoder, trained here or elsewhere; empty for pixels."""
    mode = STUDY.autoencoder_mode
    if mode == "none":
        return ""
    return f"{RUN}/autoencoder/seed{wildcards.seed}" if mode == "train" else from_here(mode)


def autoencoder_option(wildcards, output):
    """Argument that names the autoencoder."""
    path = autoencoder_folder(wildcards)
    return ["--autoencoder", path] if path else []


def quality(wildcards):
    """Thresholds on the scores of a data set's tiles, as JSON."""
    return thresholds(wildcards.dataset) or "{}"


def stored_settings(wildcards):
    """What in config.yaml the page depends on: values, and the order of the arms; other keys may change places."""
    values = {name: value for name, value in STUDY.resolved().items() if name != "runtime"}
    return digest([json.dumps(values, sort_keys=True), list(STUDY.retraining)])


def resolved_study(wildcards, output):
    """The whole study as JSON. Derived: what matters of it is tracked."""
    return json.dumps(STUDY.resolved())


def report_inputs(wildcards):
    """Everything that the page shows."""
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
    """No file: ends with one line where one of the run is missing. What is only looked at makes nothing."""
    tables = [f"{IMAGES}/{TRAINED_ON}/train.tsv", f"{RUN}/config.yaml", f"{RUN}/summary.csv", f"{RUN}/report.html"]
    units = [path for dataset in UNITS for files in (stores, outcomes) for path in files(dataset, UNITS[dataset].units)]
    for path in [*needs_pretraining(wildcards), *units, *report_inputs(wildcards), *evaluations(), *tables]:
        if not os.path.exists(path):
            sys.exit(f"error: the run is not finished: {path} is missing: run snakemake first")
    return []


def bank_labels(wildcards):
    """Labels of the images that a bank was generated from, if there are any."""
    return [f"{IMAGES}/{TRAINED_ON}/labels.tsv"] if has_labels(TRAINED_ON) else []


def held_out_stores(wildcards):
    """Stores of some units of the test split, evenly chosen."""
    units = UNITS[TRAINED_ON].of_split("test")
    return stores(TRAINED_ON, units[:: -(-len(units) // MOST_HELD_OUT) or 1])


def bank_options(wildcards, input):
    """Arguments of a bank's measurement that not every data set has."""
    return [
        *(["--slides-are-units"] if TRAINED_ON in SLIDE_DATASETS else []),
        *(["--filtered"] if input.filter else []),
        *(["--labels", *input.labels] if input.labels else []),
        *(["--held-out", *input.held_out] if input.held_out else []),
    ]


def first_view(wildcards):
    """Settings that an ordinary view of an image, and an untrained encoder, are made from."""
    keys = {"dataset", "backbone", "backbone_args", "image_px", "views"}
    return json.dumps(STUDY.pretraining.model_dump(mode="json", include=keys), sort_keys=True)


def evaluation_options(wildcards):
    """What an encoder's measurement must know: whether units are slides, and whether it learnt from tested images."""
    slides = "--slides-are-units" if wildcards.dataset in SLIDE_DATASETS else ""
    seen = "--seen" if wildcards.encoder in ENCODERS and is_learnt_from(wildcards.dataset) else ""
    return f"{slides} {seen}".strip()


def learnt_from(wildcards):
    """The index of what an encoder learnt from, if it was trained here: by it copies of tested images are noticed."""
    return [f"{IMAGES}/{TRAINED_ON}/train.tsv"] if wildcards.encoder in ENCODERS else []


def tasks_of_output(wildcards, output):
    """Names of the tasks whose files a rule makes."""
    return [Path(path).stem for path in output if path.endswith(".json")]


def ending() -> str:
    """What a user wants to know when a run is over: slides that gave nothing, and where the page is."""
    lines = []
    for dataset in UNITS:
        table = Path(IMAGES, dataset, "outcomes.tsv")
        rows = read_table(table) if table.exists() else []
        empty = [row for row in rows if row["images"] == "0"]
        if empty:
            kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(row["outcome"] for row in empty).items())
            lines.append(f"{dataset}: {len(empty)} of {len(rows)} slides gave no images ({kinds}); why: {table}")
    page = Path(RUN, "report.html")
    return "\n".join([*lines, f"The report is {page.resolve()}"] if page.exists() else lines)
