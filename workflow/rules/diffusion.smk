def autoencoder_input(wildcards):
    """The autoencoder that this study trains, if it does."""
    trained = f"{RUN}/autoencoder/seed{wildcards.seed}/provenance.json"
    return [trained] if STUDY.autoencoder_mode == "train" else []


def autoencoder_folder(wildcards):
    """Folder of the autoencoder, trained here or elsewhere; empty for pixels."""
    mode = STUDY.autoencoder_mode
    if mode == "none":
        return ""
    return f"{RUN}/autoencoder/seed{wildcards.seed}" if mode == "train" else mode


def autoencoder_option(wildcards, output):
    """Argument that names the autoencoder."""
    path = autoencoder_folder(wildcards)
    return ["--autoencoder", path] if path else []


rule train_autoencoder:
    input:
        train=f"{IMAGES}/{TRAINED_ON}/train.tsv",
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
    threads: 8
    resources:
        gpu=1,
    params:
        config=stage("autoencoder"),
        runtime=runtime,
        checkpoints=checkpoints,
        folder=folder,
        script=script("train_autoencoder"),
        launcher=launcher,
    shell:
        "{params.launcher} {params.script:q} --config {params.config:q} --runtime {params.runtime:q}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu}"
        " --train {input.train:q} --checkpoints {params.checkpoints:q} --output {params.folder:q} > {log:q} 2>&1"


rule train_diffusion:
    input:
        autoencoder_input,
        train=f"{IMAGES}/{TRAINED_ON}/train.tsv",
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
    threads: 8
    resources:
        gpu=1,
    params:
        config=stage("diffusion"),
        autoencoder_folder=autoencoder_folder,
        autoencoder=autoencoder_option,
        runtime=runtime,
        checkpoints=checkpoints,
        folder=folder,
        script=script("train_diffusion"),
        launcher=launcher,
    shell:
        "{params.launcher} {params.script:q} --config {params.config:q} --runtime {params.runtime:q}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu} {params.autoencoder:q}"
        " --train {input.train:q} --embeddings {input.embeddings:q}"
        " --checkpoints {params.checkpoints:q} --output {params.folder:q} > {log:q} 2>&1"
