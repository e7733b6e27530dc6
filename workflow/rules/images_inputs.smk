# Inputs and params of the rules in images.smk.
from gensis.artifacts.files import digest, read_json
from gensis.settings.base import canonical_json
from gensis.settings.targets import kind_of
from gensis.slides.slide_files import slide_files


def slide(wildcards) -> Unit:
    """The unit of a slide job."""
    return SLIDES[wildcards.dataset, wildcards.unit]


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
    drawn_on = STUDY.datasets[wildcards.dataset].drawn_on
    mask = ["--mask", row.mask, *(["--drawn-on", drawn_on] if drawn_on != "slide" else [])] if row.mask else []
    return (["--mpp", str(row.mpp)] if row.mpp else []) + mask


def listed_units(wildcards):
    """Units that a table lists."""
    units = UNITS[wildcards.dataset]
    return units.of_split("train") if wildcards.table == "train" else units.units


def image_files(wildcards):
    """Stores if scores in them select images, else the outcomes, which are smaller."""
    files = stores if getattr(STUDY.datasets[wildcards.dataset], "quality", None) else outcomes
    return files(wildcards.dataset, listed_units(wildcards))


def labelled_files(wildcards):
    """Files that labels are read from: annotations, and stores, for keys of images or positions of tiles."""
    dataset = wildcards.dataset
    if dataset not in SLIDE_DATASETS:
        return stores(dataset, UNITS[dataset].units)
    annotated = [unit for unit in UNITS[dataset].units if unit.row.annotations]
    return stores(dataset, annotated) + [ancient(unit.row.annotations) for unit in annotated]


# Files that each table depends on. Files implied by others are left out, since each file per unit slows planning.
INDEXED_FILES = {
    "train": image_files,
    "units": image_files,
    "outcomes": lambda wildcards: [f"{IMAGES}/{wildcards.dataset}/units.tsv"],
    "labels": labelled_files,
    "targets": lambda wildcards: [],
}


def indexed_files(wildcards):
    """Files that a table depends on."""
    return INDEXED_FILES[wildcards.table](wildcards)


def listed_splits(wildcards):
    """Name and split of each listed unit."""
    return [[unit.name, unit.split] for unit in listed_units(wildcards)]


def listed_groups(wildcards):
    """Name, split and group of each listed unit."""
    return [[unit.name, unit.split, unit.row.group if unit.row else ""] for unit in listed_units(wildcards)]


def listed_labels(wildcards):
    """Labels of the sheet, and versions of the annotations."""
    rows = UNITS[wildcards.dataset].rows
    return [[row.name, row.label, row.group, row.split] for row in rows] + annotated_with(wildcards.dataset)


def listed_targets(wildcards):
    """Labels of the sheet for each target."""
    targets = {name: kind_of(target) for name, target in STUDY.datasets[wildcards.dataset].targets.items()}
    return [targets, *([row.name, row.targets] for row in UNITS[wildcards.dataset].rows)]


# Values of the sheet that each table depends on. Labels do not affect tables for training.
INDEXED_VALUES = {
    "train": listed_splits,
    "units": listed_groups,
    "outcomes": listed_splits,
    "labels": listed_labels,
    "targets": listed_targets,
}


def indexed_values(wildcards):
    """Digest of the values that a table takes from the sheet."""
    return digest(INDEXED_VALUES[wildcards.table](wildcards))


# Limits that each table depends on. They are checked when images are indexed, so that a changed limit does not read
# slides again. Failed slides are counted whenever a table is written; only `outcomes.tsv` depends on their limit.
LIMITS = {
    "train": {"quality", "max_failed_fraction"},
    "units": {"quality", "max_failed_fraction"},
    "outcomes": {"quality", "max_failed_fraction", "max_failed_slides"},
    "labels": {"drawn_on"},
    "targets": set(),
}


def limits(wildcards):
    """Quality thresholds of images and limits of failures, as JSON."""
    return canonical_json(STUDY.datasets[wildcards.dataset], only=frozenset(LIMITS[wildcards.table]))


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


def sheet_option(wildcards):
    """Argument that names the sheet."""
    path = sheet(STUDY, wildcards.dataset)
    return ["--sheet", str(path)] if path else []


def dataset_json(wildcards):
    """All settings of a data set, including its sheet."""
    return STUDY.datasets[wildcards.dataset].model_dump_json()


def size_and_date(path):
    """Size and date of an image file, to detect changes: there are too many bytes to read them when planning."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


@functools.cache  # called for every shard
def source_digest(dataset):
    """Digest of sizes and dates of the files in a sheet, or of HDF5 files; other sources are not tracked."""
    settings = STUDY.datasets[dataset]
    listed = [[row.path, row.split, *size_and_date(row.path)] for row in UNITS[dataset].rows]
    return digest(listed + [size_and_date(path) for path in getattr(settings, "files", ())])


def source_files(wildcards):
    """The same, as a param."""
    return source_digest(wildcards.dataset)
