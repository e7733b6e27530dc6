# Inputs and params of the rules in report.smk, and the message at the end of a run.
from collections import Counter

from gensis.artifacts.tables import read_table


def resolved_study(wildcards):
    """The whole study as JSON."""
    return json.dumps(STUDY.resolved())


def report_inputs(wildcards):
    """All files that the report shows."""
    shown = ENCODERS or STUDY.encoders
    histories = [
        f"{encoder_folder(encoder, seed)}/provenance.json" for encoder in shown for seed in STUDY.stored_seeds(encoder)
    ]
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


def shown_files(wildcards, input):
    """Files that the report shows, except banks."""
    return [path for path in input if not path.endswith(".h5")]


def drawn_slides():
    """Slides of the demo, which the plan reads thumbnails of."""
    return [unit.row.path for unit in SLIDES.values() if is_drawn(unit.row.path)]


def sheets_json(wildcards):
    """Data set -> its sheet, as JSON."""
    return json.dumps({name: str(path) for name in UNITS if (path := sheet(STUDY, name))})


def finished_run(wildcards):
    """No input: checks that all files of the run exist, and exits with one line if one is missing. It makes none."""
    tables = [f"{RUN}/config.yaml", f"{RUN}/summary.csv", f"{RUN}/report.html"]
    tables += [f"{IMAGES}/{TRAINED_ON}/train.tsv"] if TRAINED_ON else []
    units = [path for dataset in UNITS for files in (stores, outcomes) for path in files(dataset, UNITS[dataset].units)]
    for path in [*needs_comparison(wildcards), *units, *report_inputs(wildcards), *evaluations(), *tables]:
        if not os.path.exists(path):
            sys.exit(f"error: the run is not finished: {path} is missing: run snakemake first")
    return []


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
