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
    return json.dumps(
        STUDY.pretraining.model_dump(mode="json", include=keys), sort_keys=True
    )


def encoder_options(wildcards, output):
    """Arguments that name the encoder."""
    if wildcards.encoder == "pixels":
        return ["--pixels"]
    if wildcards.encoder == "random":
        return ["--random", untrained_encoder(wildcards)]
    return ["--encoder", encoder_folder(wildcards.encoder, wildcards.seed)]


rule embed_images:
    input:
        unpack(embedding_inputs),
    output:
        f"{RUN}/embeddings/{{encoder}}/{{dataset}}/seed{{seed}}/part-{{part}}.h5",
    log:
        f"{RUN}/logs/embed_images/{{encoder}}-{{dataset}}-seed{{seed}}-{{part}}.log",
    benchmark:
        f"{RUN}/benchmarks/embed_images/{{encoder}}-{{dataset}}-seed{{seed}}-{{part}}.tsv"
    threads: 4
    resources:
        gpu=1,
    params:
        config=stage("embedding"),
        units=embedded_units,
        untrained=untrained_encoder,
        encoder=encoder_options,
        images=folder_of_input("stores"),
        runtime=runtime,
        script=script("embed_images"),
        python=python,
    shell:
        "{params.python} {params.script:q} --config {params.config:q} --runtime {params.runtime:q}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu} {params.encoder:q}"
        " --images {params.images:q} --units {params.units:q} --output {output:q} > {log:q} 2>&1"
