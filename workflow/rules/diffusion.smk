rule train_autoencoder:
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
    params:
        config=stage("autoencoder"),
        recipe=AUTOENCODER_RECIPE,
        encoder=perceptual_option,
        runtime=runtime,
        checkpoints=checkpoints,
        events=events,
        folder=folder,
        script=script("train_autoencoder"),
        launcher=launcher,
    shell:
        "{params.launcher} {params.script:q} --config {params.config:q} --runtime {params.runtime:q}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu}"
        " --train {input.train:q} {params.encoder:q} --checkpoints {params.checkpoints:q}"
        " --events {params.events:q} --output {params.folder:q} > {log:q} 2>&1"


rule train_diffusion:
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
    params:
        config=stage("diffusion"),
        recipe=DIFFUSION_RECIPE,
        autoencoder_folder=autoencoder_folder,
        autoencoder_content=autoencoder_content,
        autoencoder=autoencoder_option,
        runtime=runtime,
        checkpoints=checkpoints,
        events=events,
        folder=folder,
        script=script("train_diffusion"),
        launcher=launcher,
    shell:
        "{params.launcher} {params.script:q} --config {params.config:q} --runtime {params.runtime:q}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu} {params.autoencoder:q}"
        " --train {input.train:q} --embeddings {input.embeddings:q}"
        " --checkpoints {params.checkpoints:q} --events {params.events:q} --output {params.folder:q} > {log:q} 2>&1"
