include: "diffusion_inputs.smk"


rule train_autoencoder:
    """Train the autoencoder whose latents the diffusion model works in."""
    input:
        perceptual_encoder,
        train=train_table,
    output:
        multiext(
            f"{RUN}/autoencoder/seed{{seed}}/",
            "config.json",
            "diffusion_pytorch_model.safetensors",
            "history.csv",
            "provenance.json",
        ),
    log:
        f"{RUN}/logs/train_autoencoder/seed{{seed}}.log",
    benchmark:
        f"{RUN}/benchmarks/train_autoencoder/seed{{seed}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=autoencoder_memory,
        runtime=autoencoder_time,
    params:
        *rerun_if_settings_change("autoencoder"),
        rerun_if_recipe_changes=AUTOENCODER_RECIPE,
        config=untracked(stage("autoencoder")),
        encoder=untracked(perceptual_option),
        runtime=untracked(runtime),
        checkpoints=untracked(checkpoints),
        events=untracked(events),
        folder=untracked(folder),
        script=untracked(script("train_autoencoder")),
        launcher=untracked(launcher),
    shell:
        "{params.launcher} {params.script:q} --config {params.config:q} --runtime {params.runtime:q}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu}"
        " --train {input.train:q} {params.encoder:q} --checkpoints {params.checkpoints:q}"
        " --events {params.events:q} --output {params.folder:q} > {log:q} 2>&1"


rule train_diffusion:
    """Train the diffusion model, conditioned on the embeddings of an encoder."""
    input:
        autoencoder_input,
        train=train_table,
        embeddings=train_embeddings,
    output:
        multiext(
            f"{RUN}/diffusion/{{encoder}}/seed{{seed}}/",
            "model_index.json",
            "pipeline.py",
            "history.csv",
            "provenance.json",
        ),
    log:
        f"{RUN}/logs/train_diffusion/{{encoder}}-seed{{seed}}.log",
    benchmark:
        f"{RUN}/benchmarks/train_diffusion/{{encoder}}-seed{{seed}}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=diffusion_memory,
        runtime=diffusion_time,
    params:
        *rerun_if_settings_change("diffusion"),
        rerun_if_recipe_changes=DIFFUSION_RECIPE,
        rerun_if_autoencoder_changes=tracked(autoencoder_content),
        config=untracked(stage("diffusion")),
        autoencoder=tracked(autoencoder_option),
        runtime=untracked(runtime),
        checkpoints=untracked(checkpoints),
        events=untracked(events),
        folder=untracked(folder),
        script=untracked(script("train_diffusion")),
        launcher=untracked(launcher),
    shell:
        "{params.launcher} {params.script:q} --config {params.config:q} --runtime {params.runtime:q}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu} {params.autoencoder:q}"
        " --train {input.train:q} --embeddings {input.embeddings:q}"
        " --checkpoints {params.checkpoints:q} --events {params.events:q} --output {params.folder:q} > {log:q} 2>&1"
