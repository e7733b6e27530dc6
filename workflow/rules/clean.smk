include: "clean_inputs.smk"


rule clean:
    """List checkpoints and temporary files that may be removed."""
    log:
        f"{RUN}/logs/clean.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        run=RUN,
        images=untracked(image_folders),
        checkpoints=untracked(checkpoints),
        trained=untracked(trained_option),
        removal="",
        program=untracked(program("clean_run")),
    shell:
        "{params.program} --run-folder {params.run:q} --images-folders {params.images:q}"
        " --checkpoints {params.checkpoints:q} {params.trained} {params.removal} 2>&1 | tee {log:q}"


use rule clean as clean_now with:
    """Remove what `clean` lists."""
    log:
        f"{RUN}/logs/clean_now.log",
    params:
        run=RUN,
        images=untracked(image_folders),
        checkpoints=untracked(checkpoints),
        trained=untracked(trained_option),
        removal="--remove",
        program=untracked(program("clean_run")),
