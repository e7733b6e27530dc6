# Files that several stages use.


def stores(dataset: str, units: tuple[Unit, ...]) -> list[str]:
    """Image stores of some units."""
    return [f"{IMAGES}/{dataset}/{unit.name}.h5" for unit in units]


def labelled_stores(wildcards):
    """Stores of the slides that slide tasks are about."""
    return stores(wildcards.dataset, [unit for unit in UNITS[wildcards.dataset].units if unit.row.is_labelled])


def outcomes(dataset: str, units: tuple[Unit, ...]) -> list[str]:
    """Outcomes of some units."""
    return [f"{IMAGES}/{dataset}/{unit.name}.json" for unit in units]


def outcome_tables(datasets: list[str]) -> list[str]:
    """Tables with the outcome of each slide, of those data sets that are slides."""
    return [f"{IMAGES}/{dataset}/outcomes.tsv" for dataset in datasets if dataset in SLIDE_DATASETS]


def slide_overlays() -> list[str]:
    """Overlays of each slide, and a contact sheet of all slides, for each data set of slides."""
    return [f"{IMAGES}/{dataset}/{name}" for dataset in SLIDE_DATASETS for name in ("overlays", "slides.jpg")]


@functools.cache  # called for every job of embed_images
def part_units(dataset: str) -> list[tuple[Unit, ...]]:
    """The units of each part of the embeddings; no part has units of both splits."""
    size = STUDY.embedding.units_per_part
    return [
        units[start : start + size]
        for units in map(UNITS[dataset].of_split, ("train", "test"))
        for start in range(0, len(units), size)
    ]


def embedding_parts(encoder: str, dataset: str, seed: str, split: str = "") -> list[str]:
    """Embedding files of a data set, or of one split."""
    parts, stored_seed = part_units(dataset), STUDY.stored_seed(encoder, seed)
    return [
        f"{RUN}/embeddings/{encoder}/{dataset}/seed{stored_seed}/part-{number:04d}.h5"
        for number, units in enumerate(parts)
        if split in ("", units[0].split)
    ]


def train_embeddings(wildcards) -> list[str]:
    """Embeddings of the training images, by the encoder that the rule names, or by that of its bank."""
    encoder = wildcards.encoder if "encoder" in wildcards.keys() else STUDY.banks[wildcards.bank].encoder
    return embedding_parts(encoder, TRAINED_ON, wildcards.seed, "train")


def all_embeddings(wildcards) -> list[str]:
    """Embeddings of all images of a data set."""
    return embedding_parts(wildcards.encoder, wildcards.dataset, wildcards.seed)


def features_folder(dataset: str, encoder: str, seed: str) -> str:
    """Folder of a data set's features, with one file per slide."""
    return f"{RUN}/features/{encoder}/{dataset}/seed{seed}"


def encoder_folder(encoder: str, seed: str) -> str:
    """Folder of an encoder, trained by this study or external."""
    return f"{RUN}/encoders/{encoder}/seed{STUDY.stored_seed(encoder, seed)}"


def encoder_of_bank(wildcards) -> str:
    """The encoder that a bank is conditioned on."""
    return f"{encoder_folder(STUDY.banks[wildcards.bank].encoder, wildcards.seed)}/provenance.json"


def diffusion_of_bank(wildcards) -> list[str]:
    """The diffusion model that a bank is generated with; none if it has real images."""
    bank = STUDY.banks[wildcards.bank]
    return [f"{RUN}/diffusion/{bank.encoder}/seed{wildcards.seed}/provenance.json"] if bank.is_generated else []


def bank_shards(bank: str, seed: str) -> list[str]:
    """All files of a bank."""
    return [
        f"{RUN}/bank/{bank}/seed{seed}/{kind}-{shard:04d}.h5"
        for kind in ("generative", "interpolated")
        for shard in range(STUDY.banks[bank].shards)
    ]


def filter_shards(bank: str, seed: str) -> list[str]:
    """Filter files of all shards of a bank; none if the bank has no filter."""
    shards = bank_shards(bank, seed) if STUDY.banks[bank].filter else []
    return [os.path.join(os.path.dirname(path), "filter", os.path.basename(path)) for path in shards]


def banks_with_seeds() -> list[tuple[str, int]]:
    """Name and seed of every bank."""
    return [(bank, seed) for bank in STUDY.banks for seed in STUDY.bank_seeds(bank)]


def evaluation_tasks(dataset: str) -> list[str]:
    """Tasks that encoders are evaluated with on a data set."""
    settings = STUDY.evaluation
    return [*settings.image_tasks, *(STUDY.slide_tasks if dataset in LABELLED_SLIDES else [])]


def transfer_tasks(tested: str) -> list[str]:
    """Tasks that the classifiers of another data set are tested with on a data set."""
    settings = STUDY.evaluation
    return [*settings.transfer_tasks, *(settings.slide_transfer_tasks if tested in LABELLED_SLIDES else [])]


def evaluations() -> list[str]:
    """All evaluation files of the study."""
    return [*dataset_evaluations(), *benchmark_evaluations()]


def benchmark_evaluations() -> list[str]:
    """Evaluations on benchmarks; raw pixels have no patch tokens."""
    return [
        f"{RUN}/evaluation/{encoder}/{name}/seed{seed}/{benchmark.task}.json"
        for encoder in (*ALL_ENCODERS, *BASELINES)
        if encoder != "pixels"
        for name, benchmark in STUDY.evaluation.benchmarks.items()
        for seed in STUDY.seeds
    ]


def dataset_evaluations() -> list[str]:
    """Evaluations on data sets."""
    tasks = {dataset: evaluation_tasks(dataset) for dataset in EVALUATED}
    tasks |= {result: transfer_tasks(tested) for result, tested in TRANSFERRED.items()}
    return [
        f"{RUN}/evaluation/{encoder}/{dataset}/seed{seed}/{task}.json"
        for encoder in (*ALL_ENCODERS, *BASELINES)
        for dataset in tasks
        for seed in STUDY.seeds
        for task in tasks[dataset]
    ]


def needs_pretraining(wildcards):
    """No input. Exits with one line if the target needs pre-training but the config has none."""
    if STUDY.pretraining is None:
        sys.exit(
            "error: config: pretraining is missing: add it, or run images, features or embeddings, or to compare "
            "encoders name them and labelled evaluation.datasets"
        )
    return []


def needs_comparison(wildcards):
    """No input. Exits with one line if the study neither trains nor compares encoders."""
    return [] if STUDY.encoders and (EVALUATED or TRANSFERRED) else needs_pretraining(wildcards)


def train_table(wildcards):
    """The index of the training images."""
    return needs_pretraining(wildcards) or f"{IMAGES}/{TRAINED_ON}/train.tsv"


def refuse_nothing(files: Iterable[str], advice: str) -> Callable[..., list[str]]:
    """Input of a target: these files. Exits with one line if there are none."""
    files = list(files)
    return lambda wildcards: files or sys.exit(f"error: config: {advice}")


def features_folders() -> list[str]:
    """Folders of the features of all slides by all encoders."""
    return [
        features_folder(dataset, encoder, seed)
        for encoder in ALL_ENCODERS
        for dataset in SLIDE_DATASETS
        for seed in STUDY.stored_seeds(encoder)
    ]


def attention_folders() -> list[str]:
    """Folders of attention maps, of slides whose labels are predicted with attention."""
    return [
        f"{RUN}/attention/{encoder}/{dataset}/seed{seed}"
        for encoder in ALL_ENCODERS
        for dataset in EVALUATED
        for seed in STUDY.seeds
        if dataset in LABELLED_SLIDES and with_attention(STUDY.slide_tasks)
    ]


def diffusion_models() -> list[str]:
    """The diffusion models of all banks of generated images."""
    generated = [(bank, seed) for bank, seed in banks_with_seeds() if STUDY.banks[bank].is_generated]
    models = [f"{RUN}/diffusion/{STUDY.banks[bank].encoder}/seed{seed}/provenance.json" for bank, seed in generated]
    return list(dict.fromkeys(models))
