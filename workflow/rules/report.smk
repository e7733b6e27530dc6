include: "report_inputs.smk"


rule store_config:
    """Write the config of the run with all defaults filled in."""
    output:
        f"{RUN}/config.yaml",
    log:
        f"{RUN}/logs/store_config.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        *rerun_if_settings_change("study"),
        config=untracked(resolved_study),
        program=untracked(program("store_config")),
    shell:
        "printf %s {params.config:q} | {params.program} --config - --output {output:q} > {log:q} 2>&1"


rule write_report:
    """Write the report and the table of costs."""
    input:
        needs_comparison,
        report_inputs,
        config=f"{RUN}/config.yaml",
        tables=[f"{RUN}/summary.csv", f"{RUN}/comparisons.csv"],
    output:
        page=report(f"{RUN}/report.html", caption="../report/report.rst", category="Results"),
        costs=report(f"{RUN}/costs.csv", caption="../report/costs.rst", category="Results"),
        provenance=f"{RUN}/provenance.json",
    log:
        f"{RUN}/logs/write_report.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        run=untracked(folder),
        images=IMAGES,
        shown=untracked(shown_files),
        program=untracked(program("write_report")),
    shell:
        "{params.program} --run-folder {params.run:q} --images-folder {params.images:q} --shown {params.shown:q}"
        " --threads {threads} --costs {output.costs:q} --output {output.page:q} > {log:q} 2>&1"


rule verify:
    """Verify all files of a finished run; makes nothing."""
    input:
        finished_run,
    log:
        f"{RUN}/logs/verify.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        config=untracked(resolved_study),
        run=RUN,
        images=IMAGES,
        program=untracked(program("verify_run")),
    shell:
        "printf %s {params.config:q} | {params.program} --config -"
        " --run-folder {params.run:q} --images-folder {params.images:q} 2>&1 | tee {log:q}"


rule plan:
    """Print images, time, disk and memory of every stage before the run."""
    input:
        needs_comparison,
        drawn=drawn_slides(),
    log:
        f"{RUN}/logs/plan.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    resources:
        gpu=1,
    params:
        config=untracked(resolved_study),
        images=IMAGES,
        sheets=untracked(sheets_json),
        rates=["--rates", RATES] if RATES else [],
        measured=f"{RUN}/benchmarks/rates.yaml",
        program=untracked(program("plan_run")),
    shell:
        "printf %s {params.config:q} | {params.program} --config -"
        " --images-folder {params.images:q} --sheets {params.sheets:q}"
        " --gpus {resources.gpu} {params.rates:q} --output {params.measured:q} 2>&1 | tee {log:q}"
