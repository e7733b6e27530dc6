include: "export_inputs.smk"


rule export_images:
    """Export the images of a slide or shard as files."""
    input:
        store=f"{IMAGES}/{{dataset}}/{{unit}}.h5",
        units=f"{IMAGES}/{{dataset}}/units.tsv",
        labels=f"{IMAGES}/{{dataset}}/labels.tsv",
    output:
        **as_exported(f"{IMAGES}/{{dataset}}/export/{EXPORT.format}/{{split}}/{{unit}}"),
    log:
        f"{IMAGES}/{{dataset}}/logs/export_images/{{split}}-{{unit}}.log",
    wildcard_constraints:
        split="train|test",
    conda:
        "../../envs/environment.yaml"
    params:
        format=EXPORT.format,
        program=untracked(program("export_images")),
    shell:
        "{params.program} --store {input.store:q} --units {input.units:q} --labels {input.labels:q}"
        " --format {params.format} --table {output.table:q} > {log:q} 2>&1"


rule export_bank:
    """Export the images of a bank's shard as files."""
    input:
        store=f"{RUN}/bank/{{bank}}/seed{{seed}}/{{kind}}-{{shard}}.h5",
        filter=filter_of_shard,
        train=train_table,
        labels=labels_of_sources,
    output:
        **as_exported(f"{RUN}/bank/{{bank}}/seed{{seed}}/export/{EXPORT.format}/{{kind}}/{{kind}}-{{shard}}"),
    log:
        f"{RUN}/logs/export_bank/{{bank}}-seed{{seed}}-{{kind}}-{{shard}}.log",
    wildcard_constraints:
        kind="generative|interpolated",
    conda:
        "../../envs/environment.yaml"
    params:
        format=EXPORT.format,
        filtered=tracked(filtered_option),
        program=untracked(program("export_bank")),
    shell:
        "{params.program} --store {input.store:q} {params.filtered} --train {input.train:q} --labels {input.labels:q}"
        " --format {params.format} --table {output.table:q} > {log:q} 2>&1"
