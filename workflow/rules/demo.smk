rule draw_demo_slides:
    """Draw the synthetic slides of the demo."""
    output:
        [
            relative(f"{DEMO_FOLDER}/{unit.name}.tiff")
            for name in SLIDE_DATASETS
            for unit in UNITS[name].units
            if is_drawn(unit.row.path)
        ],
    log:
        f"{RUN}/logs/draw_demo_slides.log",
    benchmark:
        f"{RUN}/benchmarks/draw_demo_slides.tsv"
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        program=untracked(program("draw_demo_slides")),
        folder=untracked(folder),
    shell:
        "{params.program} --folder {params.folder:q} > {log:q} 2>&1"
