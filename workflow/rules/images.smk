def slide_size(wildcards):
    """Bytes of a slide: a copy with a new date reruns nothing, other contents do. A drawn slide is known by its rule."""
    path = slide(wildcards).row.path
    return 0 if is_drawn(path) else os.path.getsize(path)


def slide_inputs(wildcards):
    """The slide and its mask."""
    row = slide(wildcards).row
    return [ancient(path) for path in (row.path, row.mask) if path]


def slide_options(wildcards):
    """What the sheet says of this slide alone."""
    row = slide(wildcards).row
    options = (["--mpp", str(row.mpp)] if row.mpp else []) + (
        ["--mask", row.mask] if row.mask else []
    )
    return options


def indexed_units(wildcards):
    """Units that a table lists."""
    units = UNITS[wildcards.dataset]
    return units.of_split("train") if wildcards.table == "train" else units.units


def indexed_files(wildcards):
    """Files that a table is read from; labels of natural images are found by the keys in the stores."""
    if wildcards.table == "labels" and wildcards.dataset in SLIDE_DATASETS:
        return []
    files = stores if wildcards.table == "labels" else outcomes
    return files(wildcards.dataset, indexed_units(wildcards))


def indexed_sheet(wildcards):
    """What a table takes from the sheet, as a digest: a corrected label changes the labels and nothing else."""
    units = UNITS[wildcards.dataset]
    if wildcards.table == "labels":
        return digest(
            [[row.name, row.label, row.group, row.split] for row in units.rows]
        )
    return digest(
        [
            [unit.name, unit.split, unit.row.group if unit.row else ""]
            for unit in indexed_units(wildcards)
        ]
    )


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


def files_of_unit(wildcards):
    """What a shard takes from the sheet, as a digest."""
    return digest([[row.path, row.split] for row in UNITS[wildcards.dataset].rows])


rule tile_slide:
    input:
        slide_inputs,
    output:
        store=f"{IMAGES}/{{dataset}}/{{unit}}.h5",
        outcome=f"{IMAGES}/{{dataset}}/{{unit}}.json",
    log:
        f"{IMAGES}/{{dataset}}/logs/{{unit}}.log",
    wildcard_constraints:
        dataset=one_of(SLIDE_DATASETS),
    threads: 2
    params:
        config=stage("datasets/{dataset}"),
        options=slide_options,
        size=slide_size,
        script=script("tile_slide"),
        python=python,
    shell:
        "{params.python} {params.script:q} --config {params.config:q} --threads {threads}"
        " --slide {input[0]:q} {params.options:q} --unit {wildcards.unit:q}"
        " --store {output.store:q} --outcome {output.outcome:q} > {log:q} 2>&1"


rule import_images:
    input:
        sheet_of,
    output:
        store=f"{IMAGES}/{{dataset}}/{{unit}}.h5",
        outcome=f"{IMAGES}/{{dataset}}/{{unit}}.json",
    log:
        f"{IMAGES}/{{dataset}}/logs/{{unit}}.log",
    wildcard_constraints:
        dataset=one_of(NATURAL_DATASETS),
    params:
        config=stage("datasets/{dataset}"),
        files=files_of_unit,
        sheet=sheet_option,
        script=script("import_images"),
        python=python,
    shell:
        "{params.python} {params.script:q} --config {params.config:q} {params.sheet:q} --unit {wildcards.unit:q}"
        " --store {output.store:q} --outcome {output.outcome:q} > {log:q} 2>&1"


rule index_images:
    input:
        indexed_files,
        sheet=sheet_of,
    output:
        f"{IMAGES}/{{dataset}}/{{table}}.tsv",
    log:
        f"{IMAGES}/{{dataset}}/logs/{{table}}.tsv.log",
    wildcard_constraints:
        table="train|units|outcomes|labels",
    localrule: True
    params:
        content=indexed_sheet,
        config=dataset_json,
        sheet=sheet_option,
        script=script("index_images"),
        python=python,
    shell:
        "{params.python} {params.script:q} --config {params.config:q} {params.sheet:q} --output {output:q} > {log:q} 2>&1"
