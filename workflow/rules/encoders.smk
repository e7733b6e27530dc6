rule pretrain_encoder:
    input:
        train=train_table,
        init=initial_encoder,
    output:
        multiext(
            f"{RUN}/encoders/dino/seed{{seed}}/",
            "config.json",
            "model.safetensors",
            "history.csv",
            "embedding_snapshots.h5",
            "provenance.json",
        ),
    log:
        f"{RUN}/logs/pretrain_encoder/dino-seed{{seed}}.log",
    benchmark:
        f"{RUN}/benchmarks/pretrain_encoder/dino-seed{{seed}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
    params:
        config=stage("encoders/dino"),
        recipe=ENCODER_RECIPE,
        runtime=runtime,
        checkpoints=checkpoints,
        events=events,
        folder=folder,
        init=initial_option,
        script=script("pretrain_encoder"),
        launcher=launcher,
    shell:
        "{params.launcher} {params.script:q} --config {params.config:q} --runtime {params.runtime:q}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu}"
        " --train {input.train:q} {params.init:q} --checkpoints {params.checkpoints:q} --events {params.events:q}"
        " --output {params.folder:q} > {log:q} 2>&1"


rule retrain_encoder:
    input:
        train=train_table,
        init=initial_encoder,
        bank=retraining_bank,
        filter=retraining_filter,
    output:
        multiext(
            f"{RUN}/encoders/{{encoder}}/seed{{seed}}/",
            "config.json",
            "model.safetensors",
            "history.csv",
            "embedding_snapshots.h5",
            "provenance.json",
        ),
    log:
        f"{RUN}/logs/retrain_encoder/{{encoder}}-seed{{seed}}.log",
    benchmark:
        f"{RUN}/benchmarks/retrain_encoder/{{encoder}}-seed{{seed}}.tsv"
    wildcard_constraints:
        encoder=one_of(STUDY.retraining),
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
    params:
        config=stage("encoders/{encoder}"),
        recipe=ENCODER_RECIPE,
        runtime=runtime,
        checkpoints=checkpoints,
        events=events,
        folder=folder,
        bank=bank_option,
        init=initial_option,
        script=script("pretrain_encoder"),
        launcher=launcher,
    shell:
        "{params.launcher} {params.script:q} --config {params.config:q} --runtime {params.runtime:q}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu} {params.bank:q}"
        " --train {input.train:q} {params.init:q} --checkpoints {params.checkpoints:q} --events {params.events:q}"
        " --output {params.folder:q} > {log:q} 2>&1"


rule import_encoder:
    input:
        external_files,
    output:
        multiext(
            f"{RUN}/encoders/{{encoder}}/seed{{seed}}/",
            "config.json",
            "model.safetensors",
            "provenance.json",
        ),
    log:
        f"{RUN}/logs/import_encoder/{{encoder}}-seed{{seed}}.log",
    wildcard_constraints:
        encoder=one_of(STUDY.encoders),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        config=stage("encoders/{encoder}"),
        content=lambda wildcards: external_content(wildcards.encoder),
        path=external_option,
        folder=folder,
        program=program("import_encoder"),
    shell:
        "{params.program} --config {params.config:q} --threads {threads} {params.path:q}"
        " --output {params.folder:q} > {log:q} 2>&1"
