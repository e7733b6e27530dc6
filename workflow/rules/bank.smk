include: "bank_inputs.smk"


rule generate_bank:
    """Generate a shard of a bank with the diffusion model."""
    input:
        train=train_table,
        embeddings=train_embeddings,
        diffusion=diffusion_of_bank,
    output:
        generative=f"{RUN}/bank/{{bank}}/seed{{seed}}/generative-{{shard}}.h5",
        interpolated=f"{RUN}/bank/{{bank}}/seed{{seed}}/interpolated-{{shard}}.h5",
    log:
        f"{RUN}/logs/generate_bank/{{bank}}-seed{{seed}}-{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/generate_bank/{{bank}}-seed{{seed}}-{{shard}}.tsv"
    wildcard_constraints:
        bank=one_of([name for name, bank in STUDY.banks.items() if bank.is_generated]),
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=bank_memory,
        runtime=generation_time,
    params:
        *rerun_if_settings_change("banks/{bank}"),
        config=untracked(stage("banks/{bank}")),
        shards=tracked(shards_option),
        diffusion=untracked(folder_of_input("diffusion")),
        runtime=untracked(runtime),
        checkpoints=untracked(checkpoints),
        program=untracked(program("generate_bank")),
    shell:
        "{params.program} --config {params.config:q} --runtime {params.runtime:q}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu}"
        " --train {input.train:q} --embeddings {input.embeddings:q} --diffusion {params.diffusion:q}"
        " --shard {wildcards.shard} {params.shards} --checkpoints {params.checkpoints:q}"
        " --generative {output.generative:q} --interpolated {output.interpolated:q} > {log:q} 2>&1"


rule copy_bank:
    """Copy real images into a shard of a bank, as a control."""
    input:
        train=train_table,
        embeddings=embeddings_of_neighbours,
    output:
        generative=f"{RUN}/bank/{{bank}}/seed{{seed}}/generative-{{shard}}.h5",
        interpolated=f"{RUN}/bank/{{bank}}/seed{{seed}}/interpolated-{{shard}}.h5",
    log:
        f"{RUN}/logs/copy_bank/{{bank}}-seed{{seed}}-{{shard}}.log",
    benchmark:
        f"{RUN}/benchmarks/copy_bank/{{bank}}-seed{{seed}}-{{shard}}.tsv"
    wildcard_constraints:
        bank=one_of([name for name, bank in STUDY.banks.items() if not bank.is_generated]),
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=bank_memory,
        runtime=bank_time,
    params:
        *rerun_if_settings_change("banks/{bank}"),
        config=untracked(stage("banks/{bank}")),
        shards=tracked(shards_option),
        program=untracked(program("copy_bank")),
    shell:
        "{params.program} --config {params.config:q}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu}"
        " --train {input.train:q} --embeddings {input.embeddings:q} --shard {wildcards.shard} {params.shards}"
        " --generative {output.generative:q} --interpolated {output.interpolated:q} > {log:q} 2>&1"


rule filter_bank:
    """Measure the images of a bank's shard, and select those to train on."""
    input:
        stores=multiext(f"{RUN}/bank/{{bank}}/seed{{seed}}/", "generative-{shard}.h5", "interpolated-{shard}.h5"),
        train=train_table,
        embeddings=train_embeddings,
        encoder=encoder_of_bank,
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
        mem_mb=filter_memory,
        runtime=bank_time,
    params:
        *rerun_if_settings_change("filters/{bank}"),
        config=untracked(stage("filters/{bank}")),
        runtime=untracked(runtime),
        encoder=untracked(folder_of_input("encoder")),
        program=untracked(program("filter_bank")),
    shell:
        "{params.program} --config {params.config:q} --runtime {params.runtime:q}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu}"
        " --train {input.train:q} --embeddings {input.embeddings:q} --encoder {params.encoder:q}"
        " --stores {input.stores:q} > {log:q} 2>&1"
