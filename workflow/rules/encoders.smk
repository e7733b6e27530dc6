include: "encoders_inputs.smk"


rule pretrain_encoder:
    """Pre-train the baseline encoder on real images."""
    input:
        train=train_table,
        init=initial_encoder,
    output:
        multiext(
            f"{RUN}/encoders/{BASELINE_ENCODER}/seed{{seed}}/",
            "config.json",
            "model.safetensors",
            "history.csv",
            "embedding_snapshots.h5",
            "provenance.json",
        ),
    log:
        f"{RUN}/logs/pretrain_encoder/{BASELINE_ENCODER}-seed{{seed}}.log",
    benchmark:
        f"{RUN}/benchmarks/pretrain_encoder/{BASELINE_ENCODER}-seed{{seed}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=encoder_memory,
        runtime=encoder_time,
    params:
        *rerun_if_settings_change(f"encoders/{BASELINE_ENCODER}"),
        rerun_if_recipe_changes=ENCODER_RECIPE,
        config=untracked(stage(f"encoders/{BASELINE_ENCODER}")),
        runtime=untracked(runtime),
        checkpoints=untracked(checkpoints),
        events=untracked(events),
        folder=untracked(folder),
        init=untracked(initial_option),
        arms=untracked(arms_with_other_networks),
        script=untracked(script("pretrain_encoder")),
        launcher=untracked(launcher),
    shell:
        "{params.launcher} {params.script:q} --config {params.config:q} --runtime {params.runtime:q}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu} --arms {params.arms:q}"
        " --train {input.train:q} {params.init:q} --checkpoints {params.checkpoints:q} --events {params.events:q}"
        " --output {params.folder:q} > {log:q} 2>&1"


rule retrain_encoder:
    """Retrain an encoder with the images of a bank."""
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
        mem_mb=encoder_memory,
        runtime=encoder_time,
    params:
        *rerun_if_settings_change("encoders/{encoder}"),
        rerun_if_recipe_changes=ENCODER_RECIPE,
        config=untracked(stage("encoders/{encoder}")),
        runtime=untracked(runtime),
        checkpoints=untracked(checkpoints),
        events=untracked(events),
        folder=untracked(folder),
        bank=untracked(bank_option),
        init=untracked(initial_option),
        script=untracked(script("pretrain_encoder")),
        launcher=untracked(launcher),
    shell:
        "{params.launcher} {params.script:q} --config {params.config:q} --runtime {params.runtime:q}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu} {params.bank:q}"
        " --train {input.train:q} {params.init:q} --checkpoints {params.checkpoints:q} --events {params.events:q}"
        " --output {params.folder:q} > {log:q} 2>&1"


rule import_encoder:
    """Import an external encoder in the layout of trained ones."""
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
        *rerun_if_settings_change("encoders/{encoder}"),
        rerun_if_weights_change=tracked(external_content),
        config=untracked(stage("encoders/{encoder}")),
        path=untracked(external_option),
        folder=untracked(folder),
        program=untracked(program("import_encoder")),
    shell:
        "{params.program} --config {params.config:q} --threads {threads} {params.path:q}"
        " --output {params.folder:q} > {log:q} 2>&1"
