rule plot_slides:
    """Draw the overlays of slides, and a contact sheet of all."""
    input:
        units=f"{IMAGES}/{{dataset}}/units.tsv",
    output:
        overlays=directory(f"{IMAGES}/{{dataset}}/overlays"),
        sheet=report(
            f"{IMAGES}/{{dataset}}/slides.jpg",
            caption="../report/slides.rst",
            category="Slides",
        ),
    log:
        f"{IMAGES}/{{dataset}}/logs/plot_slides.log",
    wildcard_constraints:
        dataset=one_of(SLIDE_DATASETS),
    conda:
        "../../envs/environment.yaml"
    threads: 8
    params:
        *rerun_if_settings_change("quality/{dataset}"),
        quality=untracked(stage("quality/{dataset}")),
        program=untracked(program("plot_slides")),
    shell:
        "{params.program} --config {params.quality:q} --threads {threads} --units {input.units:q}"
        " --overlays {output.overlays:q} --sheet {output.sheet:q} > {log:q} 2>&1"


rule export_geojson:
    """Write the tile grids of slides as GeoJSON for QuPath."""
    input:
        units=f"{IMAGES}/{{dataset}}/units.tsv",
    output:
        directory(f"{IMAGES}/{{dataset}}/geojson"),
    log:
        f"{IMAGES}/{{dataset}}/logs/export_geojson.log",
    wildcard_constraints:
        dataset=one_of(SLIDE_DATASETS),
    conda:
        "../../envs/environment.yaml"
    params:
        *rerun_if_settings_change("quality/{dataset}"),
        quality=untracked(stage("quality/{dataset}")),
        program=untracked(program("export_geojson")),
    shell:
        "{params.program} --config {params.quality:q} --units {input.units:q}" " --output {output:q} > {log:q} 2>&1"


rule export_attention:
    """Write the attention of slide classifiers as GeoJSON and pictures."""
    input:
        stores=labelled_stores,
        attention=f"{RUN}/evaluation/{{encoder}}/{{dataset}}/seed{{seed}}/attention.h5",
    output:
        directory(f"{RUN}/attention/{{encoder}}/{{dataset}}/seed{{seed}}"),
    log:
        f"{RUN}/logs/export_attention/{{encoder}}-{{dataset}}-seed{{seed}}.log",
    wildcard_constraints:
        dataset=one_of(LABELLED_SLIDES),
    conda:
        "../../envs/environment.yaml"
    params:
        images=f"{IMAGES}/{{dataset}}",
        program=untracked(program("export_attention")),
    shell:
        "{params.program} --attention {input.attention:q} --images {params.images:q} --output {output:q} > {log:q} 2>&1"
