# Inputs, outputs and params of the rules in export.smk, and all files of the target `export`.
from gensis.settings.export import Export

EXPORT = STUDY.export or Export()


def as_exported(name: str) -> dict[str, str]:
    """Files of an exported unit or shard: its table, and its tar if there is one."""
    return {"table": f"{name}.tsv"} | ({"tar": f"{name}.tar"} if EXPORT.format == "webdataset" else {})


def exported_files(wildcards) -> list[str]:
    """All files of the target. Exits with one line if the config names none."""
    names = [
        f"{IMAGES}/{dataset}/export/{EXPORT.format}/{unit.split}/{unit.name}"
        for dataset in EXPORT.datasets
        for unit in UNITS[dataset].units
    ]
    for bank in EXPORT.banks:
        for shard in [Path(path) for seed in STUDY.bank_seeds(bank) for path in bank_shards(bank, seed)]:
            names.append(f"{shard.parent}/export/{EXPORT.format}/{shard.stem.partition('-')[0]}/{shard.stem}")
    if not names:
        sys.exit("error: config: export names nothing: add for example export: {datasets: [tiles], format: folder}")
    return [path for name in names for path in as_exported(name).values()]


def filter_of_shard(wildcards) -> list[str]:
    """The filter of a bank's shard; none if the bank has no filter."""
    folder = f"{RUN}/bank/{wildcards.bank}/seed{wildcards.seed}/filter"
    return [f"{folder}/{wildcards.kind}-{wildcards.shard}.h5"] if STUDY.banks[wildcards.bank].filter else []


def labels_of_sources(wildcards) -> str:
    """Labels of the images that banks are made from."""
    return f"{IMAGES}/{TRAINED_ON}/labels.tsv"


def filtered_option(wildcards) -> str:
    """Argument that says that the bank has a filter."""
    return "--filtered" if STUDY.banks[wildcards.bank].filter else ""
