include: "evaluation_inputs.smk"


rule evaluate_encoder:
    """Evaluate an encoder on the images of a data set."""
    input:
        units=f"{IMAGES}/{{dataset}}/units.tsv",
        labels=f"{IMAGES}/{{dataset}}/labels.tsv",
        targets=targets_table,
        embeddings=all_embeddings,
        corrupted=corrupted_parts,
        blocks=blocks_parts,
        learnt_from=learnt_from,
    output:
        # Existing results are kept for the job, which measures only tasks that a change affects.
        update(
            multiext(
                f"{RUN}/evaluation/{{encoder}}/{{dataset}}/seed{{seed}}/",
                "predictions.h5",
                *[f"{task}.json" for task in STUDY.evaluation.image_tasks],
            )
        ),
    log:
        f"{RUN}/logs/evaluate_encoder/{{encoder}}-{{dataset}}-seed{{seed}}.log",
    benchmark:
        f"{RUN}/benchmarks/evaluate_encoder/{{encoder}}-{{dataset}}-seed{{seed}}.tsv"
    wildcard_constraints:
        dataset=one_of([name for name in UNITS if name not in LABELLED_SLIDES]),
    conda:
        "../../envs/environment.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=evaluation_memory,
        runtime=evaluation_time,
    params:
        *rerun_if_settings_change("evaluation"),
        config=untracked(stage("evaluation")),
        options=tracked(evaluation_options),
        tasks=untracked(tasks_of_output),
        folder=untracked(folder),
        program=untracked(program("evaluate_encoder")),
    shell:
        "{params.program} --config {params.config:q} {params.options}"
        " --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu}"
        " --encoder {wildcards.encoder:q} --dataset {wildcards.dataset:q} --tasks {params.tasks}"
        " --embeddings {input.embeddings:q} --units {input.units:q} --labels {input.labels:q}"
        " --learnt-from {input.learnt_from:q} --corrupted {input.corrupted:q} --last-blocks {input.blocks:q} --output {params.folder:q} > {log:q} 2>&1"


use rule evaluate_encoder as evaluate_encoder_on_slides with:
    """Evaluate an encoder on the images of a data set, and on its labelled slides."""
    output:
        update(
            multiext(
                f"{RUN}/evaluation/{{encoder}}/{{dataset}}/seed{{seed}}/",
                "predictions.h5",
                *[f"{task}.json" for task in (*STUDY.evaluation.image_tasks, *STUDY.slide_tasks)],
                *(["attention.h5"] if with_attention(STUDY.slide_tasks) else []),
            )
        ),
    wildcard_constraints:
        dataset=one_of(LABELLED_SLIDES),
    resources:
        gpu=1,
        mem_mb=evaluation_memory,
        runtime=evaluation_time,


use rule evaluate_encoder as evaluate_transfer with:
    """Evaluate an encoder with classifiers that are fitted on another data set."""
    input:
        units=f"{IMAGES}/{{dataset}}/units.tsv",
        labels=f"{IMAGES}/{{dataset}}/labels.tsv",
        embeddings=all_embeddings,
        targets=[],
        corrupted=[],
        blocks=[],
        learnt_from=learnt_from,
        fit_units=f"{IMAGES}/{{fit}}/units.tsv",
        fit_labels=f"{IMAGES}/{{fit}}/labels.tsv",
        fit_embeddings=embeddings_to_fit,
    output:
        update(
            multiext(
                f"{RUN}/evaluation/{{encoder}}/{{fit}}-to-{{dataset}}/seed{{seed}}/",
                "predictions.h5",
                *[f"{task}.json" for task in STUDY.evaluation.transfer_tasks],
            )
        ),
    log:
        f"{RUN}/logs/evaluate_transfer/{{encoder}}-{{fit}}-to-{{dataset}}-seed{{seed}}.log",
    benchmark:
        f"{RUN}/benchmarks/evaluate_transfer/{{encoder}}-{{fit}}-to-{{dataset}}-seed{{seed}}.tsv"
    wildcard_constraints:
        fit=one_of([transfer.fit for transfer in STUDY.evaluation.transfer]),
        dataset=one_of([name for name in TRANSFERRED.values() if name not in LABELLED_SLIDES]),
    resources:
        gpu=1,
        mem_mb=transfer_memory,
        runtime=transfer_time,
    params:
        options=tracked(transfer_options),


use rule evaluate_transfer as evaluate_transfer_on_slides with:
    """Evaluate an encoder with classifiers of images and slides of another data set."""
    output:
        update(
            multiext(
                f"{RUN}/evaluation/{{encoder}}/{{fit}}-to-{{dataset}}/seed{{seed}}/",
                "predictions.h5",
                *[
                    f"{task}.json"
                    for task in (*STUDY.evaluation.transfer_tasks, *STUDY.evaluation.slide_transfer_tasks)
                ],
                *(["attention.h5"] if with_attention(STUDY.evaluation.slide_transfer_tasks) else []),
            )
        ),
    wildcard_constraints:
        fit=one_of([transfer.fit for transfer in STUDY.evaluation.transfer]),
        dataset=one_of([name for name in TRANSFERRED.values() if name in LABELLED_SLIDES]),


rule evaluate_benchmark:
    """Evaluate an encoder on a published benchmark."""
    input:
        files=benchmark_files,
        encoder=encoder_to_measure,
    output:
        f"{RUN}/evaluation/{{encoder}}/{{benchmark}}/seed{{seed}}/{{task}}.json",
    log:
        f"{RUN}/logs/evaluate_benchmark/{{encoder}}-{{benchmark}}-{{task}}-seed{{seed}}.log",
    benchmark:
        f"{RUN}/benchmarks/evaluate_benchmark/{{encoder}}-{{benchmark}}-{{task}}-seed{{seed}}.tsv"
    wildcard_constraints:
        benchmark=one_of(STUDY.evaluation.benchmarks),
        task=one_of([benchmark.task for benchmark in STUDY.evaluation.benchmarks.values()]),
    conda:
        "../../envs/environment.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=benchmark_memory,
        runtime=benchmark_time,
    params:
        *rerun_if_settings_change("benchmarks/{benchmark}"),
        config=untracked(stage("benchmarks/{benchmark}")),
        encoder=tracked(encoder_option),
        program=untracked(program("evaluate_benchmark")),
    shell:
        "{params.program} --config {params.config:q} --seed {wildcards.seed} --threads {threads}"
        " --gpus {resources.gpu} {params.encoder:q} --name {wildcards.encoder:q}"
        " --benchmark {wildcards.benchmark:q} --output {output:q} > {log:q} 2>&1"


rule track_knn:
    """Measure k-NN accuracy during a training."""
    input:
        snapshots=f"{encoder_folder('{encoder}', '{seed}')}/embedding_snapshots.h5",
        train=f"{IMAGES}/{TRAINED_ON}/train.tsv",
        units=f"{IMAGES}/{TRAINED_ON}/units.tsv",
        labels=f"{IMAGES}/{TRAINED_ON}/labels.tsv",
    output:
        f"{RUN}/evaluation/{{encoder}}/{TRAINED_ON}/seed{{seed}}/knn_history.csv",
    log:
        f"{RUN}/logs/track_knn/{{encoder}}-seed{{seed}}.log",
    wildcard_constraints:
        encoder=one_of(ENCODERS),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        *rerun_if_settings_change("knn_history"),
        config=untracked(stage("knn_history")),
        options="--slides-are-units" if TRAINED_ON in SLIDE_DATASETS else "",
        program=untracked(program("track_knn")),
    shell:
        "{params.program} --config {params.config:q} {params.options} --threads {threads}"
        " --snapshots {input.snapshots:q} --train {input.train:q} --units {input.units:q} --labels {input.labels:q}"
        " --output {output:q} > {log:q} 2>&1"


rule evaluate_bank:
    """Measure the quality of a bank."""
    input:
        bank=evaluated_bank,
        filter=evaluated_filter,
        train=train_table,
        units=f"{IMAGES}/{TRAINED_ON}/units.tsv",
        labels=bank_labels,
        held_out=held_out_stores,
        embeddings=train_embeddings,
        encoder=encoder_of_bank,
        judge=judge_encoder,
        judge_embeddings=judge_embeddings,
        diffusion=diffusion_of_bank,
    output:
        f"{RUN}/bank/{{bank}}/seed{{seed}}/quality.json",
    log:
        f"{RUN}/logs/evaluate_bank/{{bank}}-seed{{seed}}.log",
    benchmark:
        f"{RUN}/benchmarks/evaluate_bank/{{bank}}-seed{{seed}}.tsv"
    wildcard_constraints:
        bank=one_of(STUDY.banks),
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=bank_evaluation_memory,
        runtime=bank_time,
    params:
        *rerun_if_settings_change("banks/{bank}"),
        *rerun_if_settings_change("first_view"),
        *rerun_if_settings_change("bank_quality"),
        config=untracked(stage("banks/{bank}")),
        pretraining=untracked(stage("first_view")),
        evaluation=untracked(stage("bank_quality")),
        options=untracked(bank_options),
        runtime=untracked(runtime),
        bank=untracked(folder_of_input("bank")),
        encoder=untracked(folder_of_input("encoder")),
        diffusion=untracked(folder_of_input("diffusion")),
        program=untracked(program("evaluate_bank")),
    shell:
        "{params.program} --config {params.config:q} --runtime {params.runtime:q} --pretraining {params.pretraining:q}"
        " --evaluation {params.evaluation:q} --seed {wildcards.seed} --threads {threads} --gpus {resources.gpu}"
        " --train {input.train:q} --units {input.units:q} {params.options:q} --embeddings {input.embeddings:q}"
        " --encoder {params.encoder:q} --diffusion {params.diffusion:q} --bank {params.bank:q}"
        " --output {output:q} > {log:q} 2>&1"


rule summarize:
    """Gather all evaluations, and compare the encoders in pairs."""
    input:
        evaluations=evaluations(),
        predictions=sorted({os.path.join(os.path.dirname(path), "predictions.h5") for path in dataset_evaluations()}),
    output:
        summary=report(f"{RUN}/summary.csv", caption="../report/summary.rst", category="Results"),
        comparisons=report(f"{RUN}/comparisons.csv", caption="../report/comparisons.rst", category="Results"),
    log:
        f"{RUN}/logs/summarize.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        baseline=STUDY.reference,
        arms=STUDY.compared,
        main_arm=main_arm_option(),
        external=external_encoders_option(),
        resamples=f"--resamples {STUDY.evaluation.bootstrap}",
        program=untracked(program("summarize")),
    shell:
        "{params.program} --evaluations {input.evaluations:q} --predictions {input.predictions:q}"
        " --baseline {params.baseline:q} --arms {params.arms:q} {params.main_arm:q} {params.external:q} {params.resamples}"
        " --output {output.summary:q} --comparisons {output.comparisons:q} > {log:q} 2>&1"
