rule store_config:
    output:
        f"{RUN}/config.yaml",
    log:
        f"{RUN}/logs/store_config.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        content=stored_settings,
        config=resolved_study,
        program=program("store_config"),
    shell:
        "{params.program} --config {params.config:q} --output {output:q} > {log:q} 2>&1"


rule write_report:
    input:
        needs_pretraining,
        report_inputs,
        config=f"{RUN}/config.yaml",
        tables=[f"{RUN}/summary.csv", f"{RUN}/comparisons.csv"],
    output:
        page=report(f"{RUN}/report.html", caption="../report/report.rst", category="Results"),
        provenance=f"{RUN}/provenance.json",
    log:
        f"{RUN}/logs/write_report.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        run=folder,
        images=IMAGES,
        shown=lambda wildcards, input: [path for path in input if not path.endswith(".h5")],
        program=program("write_report"),
    shell:
        "{params.program} --run-folder {params.run:q} --images-folder {params.images:q} --shown {params.shown:q}"
        " --threads {threads} --output {output.page:q} > {log:q} 2>&1"


rule verify:
    input:
        finished_run,
    log:
        f"{RUN}/logs/verify.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        config=resolved_study,
        run=RUN,
        images=IMAGES,
        program=program("verify_run"),
    shell:
        "{params.program} --config {params.config:q} --run-folder {params.run:q} --images-folder {params.images:q} 2>&1 | tee {log:q}"


rule plan:
    input:
        needs_pretraining,
    log:
        f"{RUN}/logs/plan.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        config=resolved_study,
        images=IMAGES,
        program=program("plan_run"),
    shell:
        "{params.program} --config {params.config:q} --images-folder {params.images:q} 2>&1 | tee {log:q}"
