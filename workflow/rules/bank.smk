rule generate_bank:
    input:
        train=train_table,
        embeddings=train_embeddings,
        diffusion=lambda wildcards: f"{RUN}/diffusion/{STUDY.banks[wildcards.bank].encoder}/seed{wildcards.seed}/provenance.json",
    output:
        generative=f"{RUN}/bank/{{bank}}/seed{{seed}}/generative-{{shard}}.h5",
        interpolated=f"{RUN}/bank/{{bank}}/seed{{seed}}/interpolated-{{shard}}.h5",
    log:
        f"{RUN}/logs/generate_bank/{{bank}}-seed{{seed}}-{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/generate_bank/{{bank}}-seed{{seed}}-{{shard}}.tsv"
    wildcard_constraints:
        bank=one_of(STUDY.banks),
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
    params:
        config=stage("banks/{bank}"),
        shards=lambda wildcards: STUDY.banks[wildcards.bank].shards,
        diffusion=folder_of_input("diffusion"),
        runtime=runtime,
        checkpoints=checkpoints,
        program=program("generate_bank"),
    shell:
        "{params.program} --config {params.config:q} --runtime {params.runtime:q}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu}"
        " --train {input.train:q} --embeddings {input.embeddings:q} --diffusion {params.diffusion:q}"
        " --shard {wildcards.shard} --shards {params.shards} --checkpoints {params.checkpoints:q}"
        " --generative {output.generative:q} --interpolated {output.interpolated:q} > {log:q} 2>&1"


rule filter_bank:
    input:
        stores=multiext(f"{RUN}/bank/{{bank}}/seed{{seed}}/", "generative-{shard}.h5", "interpolated-{shard}.h5"),
        train=train_table,
        embeddings=train_embeddings,
        encoder=lambda wildcards: f"{encoder_folder(STUDY.banks[wildcards.bank].encoder, wildcards.seed)}/provenance.json",
    output:
        multiext(f"{RUN}/bank/{{bank}}/seed{{seed}}/filter/", "generative-{shard}.h5", "interpolated-{shard}.h5"),
    log:
        f"{RUN}/logs/filter_bank/{{bank}}-seed{{seed}}-{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/filter_bank/{{bank}}-seed{{seed}}-{{shard}}.tsv"
    wildcard_constraints:
        bank=one_of([name for name, bank in STUDY.banks.items() if bank.filter]),
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
    params:
        config=stage("filters/{bank}"),
        runtime=runtime,
        encoder=folder_of_input("encoder"),
        program=program("filter_bank"),
    shell:
        "{params.program} --config {params.config:q} --runtime {params.runtime:q}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu}"
        " --train {input.train:q} --embeddings {input.embeddings:q} --encoder {params.encoder:q}"
        " --stores {input.stores:q} > {log:q} 2>&1"
