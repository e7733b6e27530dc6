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
