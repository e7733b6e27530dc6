include: "embeddings_inputs.smk"


rule embed_images:
    """Embed the images of a part with an encoder or a baseline."""
    input:
        unpack(embedding_inputs),
    output:
        f"{RUN}/embeddings/{{encoder}}/{{dataset}}/seed{{seed}}/part-{{part}}.h5",
    log:
        f"{RUN}/logs/embed_images/{{encoder}}-{{dataset}}-seed{{seed}}-{{part}}.log",
    benchmark:
        f"{RUN}/benchmarks/embed_images/{{encoder}}-{{dataset}}-seed{{seed}}-{{part}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=embedding_memory,
        runtime=embedding_time,
    params:
        *rerun_if_settings_change("embedding/{encoder}"),
        config=untracked(stage("embedding/{encoder}")),
        units=tracked(embedded_units),
        encoder=tracked(encoder_option),
        features="",
        images=untracked(folder_of_input("stores")),
        runtime=untracked(runtime),
        program=untracked(program("embed_images")),
    shell:
        "{params.program} --config {params.config:q} --runtime {params.runtime:q}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu} {params.encoder:q} {params.features}"
        " --images {params.images:q} --units {params.units:q} --output {output:q} > {log:q} 2>&1"


use rule embed_images as embed_corrupted with:
    """Embed corrupted images of a part."""
    output:
        f"{RUN}/embeddings/{{encoder}}/{{dataset}}/seed{{seed}}/{{corruption}}/part-{{part}}.h5",
    log:
        f"{RUN}/logs/embed_corrupted/{{encoder}}-{{dataset}}-seed{{seed}}-{{corruption}}-{{part}}.log",
    benchmark:
        f"{RUN}/benchmarks/embed_corrupted/{{encoder}}-{{dataset}}-seed{{seed}}-{{corruption}}-{{part}}.tsv"
    wildcard_constraints:
        corruption=one_of(STUDY.evaluation.corruption_names),
    resources:
        gpu=1,
        mem_mb=embedding_memory,
        runtime=embedding_time,
    params:
        features="--corruption {corruption}",


use rule embed_images as embed_blocks with:
    """Embed the images of a part by the class tokens of the last blocks."""
    output:
        f"{RUN}/embeddings/{{encoder}}/{{dataset}}/seed{{seed}}/blocks/part-{{part}}.h5",
    log:
        f"{RUN}/logs/embed_blocks/{{encoder}}-{{dataset}}-seed{{seed}}-{{part}}.log",
    benchmark:
        f"{RUN}/benchmarks/embed_blocks/{{encoder}}-{{dataset}}-seed{{seed}}-{{part}}.tsv"
    resources:
        gpu=1,
        mem_mb=embedding_memory,
        runtime=blocks_time,
    params:
        features=f"--last-blocks {LAST_BLOCKS}",


rule export_features:
    """Write the embeddings of slides as a file of features for each slide."""
    input:
        embeddings=all_embeddings,
        units=f"{IMAGES}/{{dataset}}/units.tsv",
    output:
        directory(features_folder("{dataset}", "{encoder}", "{seed}")),
    log:
        f"{RUN}/logs/export_features/{{encoder}}-{{dataset}}-seed{{seed}}.log",
    wildcard_constraints:
        dataset=one_of(SLIDE_DATASETS),
    conda:
        "../../envs/environment.yaml"
    params:
        program=untracked(program("export_features")),
    shell:
        "{params.program} --embeddings {input.embeddings:q} --units {input.units:q} --encoder {wildcards.encoder:q} "
        "--output {output:q} > {log:q} 2>&1"
