include: "images_inputs.smk"


rule tile_slide:
    """Cut a slide into tiles."""
    input:
        unpack(slide_inputs),
    output:
        store=f"{IMAGES}/{{dataset}}/{{unit}}.h5",
        outcome=f"{IMAGES}/{{dataset}}/{{unit}}.json",
    log:
        f"{IMAGES}/{{dataset}}/logs/{{unit}}.log",
    wildcard_constraints:
        dataset=one_of(SLIDE_DATASETS),
    conda:
        "../../envs/environment.yaml"
    threads: 2
    params:
        *rerun_if_settings_change("datasets/{dataset}"),
        rerun_if_slide_changes=tracked(slide_content),
        config=untracked(stage("datasets/{dataset}")),
        options=tracked(slide_options),
        program=untracked(program("tile_slide")),
    shell:
        "{params.program} --config {params.config:q} --threads {threads}"
        " --slide {input.slide:q} {params.options:q} --unit {wildcards.unit:q}"
        " --store {output.store:q} --outcome {output.outcome:q} > {log:q} 2>&1"


rule import_images:
    """Import a shard of natural images."""
    input:
        sheet_of,
    output:
        store=f"{IMAGES}/{{dataset}}/{{unit}}.h5",
        outcome=f"{IMAGES}/{{dataset}}/{{unit}}.json",
    log:
        f"{IMAGES}/{{dataset}}/logs/{{unit}}.log",
    wildcard_constraints:
        dataset=one_of(NATURAL_DATASETS),
    conda:
        "../../envs/environment.yaml"
    params:
        *rerun_if_settings_change("datasets/{dataset}"),
        rerun_if_source_changes=tracked(source_files),
        config=untracked(dataset_json),
        sheet=untracked(sheet_option),
        program=untracked(program("import_images")),
    shell:
        "{params.program} --config {params.config:q} {params.sheet:q} --unit {wildcards.unit:q}"
        " --store {output.store:q} --outcome {output.outcome:q} > {log:q} 2>&1"


rule index_images:
    """Write a table of the images of a data set."""
    input:
        indexed_files,
        sheet=sheet_of,
    output:
        f"{IMAGES}/{{dataset}}/{{table}}.tsv",
    log:
        f"{IMAGES}/{{dataset}}/logs/{{table}}.tsv.log",
    wildcard_constraints:
        table="train|units|outcomes|labels|targets",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        rerun_if_sheet_changes=tracked(indexed_values),
        rerun_if_limits_change=tracked(limits),
        config=untracked(dataset_json),
        sheet=untracked(sheet_option),
        program=untracked(program("index_images")),
    shell:
        "{params.program} --config {params.config:q} {params.sheet:q} --output {output:q} > {log:q} 2>&1"
