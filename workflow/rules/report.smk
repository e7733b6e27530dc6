rule store_config:
    output:
        f"{RUN}/config.yaml",
    log:
        f"{RUN}/logs/store_config.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        config=lambda wildcards: json.dumps(STUDY.model_dump(mode="json", exclude={"runtime"}), sort_keys=True),
        runtime=runtime,
        script=script("store_config"),
        python=python,
    shell:
        "{params.python} {params.script:q} --config {params.config:q} --runtime {params.runtime:q}"
        " --output {output:q} > {log:q} 2>&1"


rule write_report:
    input:
        report_inputs,
        config=f"{RUN}/config.yaml",
        summary=f"{RUN}/summary.csv",
    output:
        report(f"{RUN}/report.html", caption="../report/report.rst", category="Results"),
    log:
        f"{RUN}/logs/write_report.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        run=folder,
        images=IMAGES,
        script=script("write_report"),
        python=python,
    shell:
        "{params.python} {params.script:q} --run-folder {params.run:q} --images-folder {params.images:q}"
        " --output {output:q} > {log:q} 2>&1"
