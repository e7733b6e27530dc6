"""Params: each says whether it can cause a rerun, and the reason of a rerun names the keys that changed."""

import re

from tests.drawing import drawn_slide
from tests.workflow.clone import copy_repository, planned, snakemake, write_config

# Appended to the Snakefile: prints a line for each param that is not as it should be.
CHECK = r"""
for each in workflow.rules:
    for name, param in each.params._allitems():
        in_command = bool(name) and re.search(rf"{{params\.{name}\b", each.shellcmd) is not None
        if callable(param) and not hasattr(param, "is_tracked"):
            print(f"param {each}.{name} is neither tracked nor untracked")
        elif callable(param) and param.is_tracked == each._is_deriving_function(param):
            print(f"param {each}.{name} is recorded if and only if it is untracked")
        elif name and in_command == name.startswith("rerun_if_"):
            print(f"param {each}.{name} is in the command: {in_command}")
print("params of", len(list(workflow.rules)), "rules")
"""
WRONG = r"""
rule wrong:
    output: "wrong"
    params: bare=lambda wildcards: 1, rerun_if_used_changes=1, unused=2
    shell: "echo {params.bare} {params.rerun_if_used_changes} > {output}"
"""


def complaints(clone, code):
    """Lines that the check prints for the workflow of a clone with more code."""
    snakefile = clone / "Snakefile"
    snakefile.write_text(snakefile.read_text() + code + CHECK)
    result = snakemake(clone, clone / "config/demo.yaml", "-n", "--list-rules")
    assert "params of" in result.stdout, result.stdout
    return re.findall("^param .*", result.stdout, re.MULTILINE)


def test_every_function_in_params_is_tracked_or_untracked(tmp_path):
    assert complaints(copy_repository(tmp_path / "clone"), "") == []


def test_a_bare_function_or_a_misnamed_param_is_refused(tmp_path):
    assert complaints(copy_repository(tmp_path / "clone"), WRONG) == [
        "param wrong.bare is neither tracked nor untracked",
        "param wrong.rerun_if_used_changes is in the command: True",
        "param wrong.unused is in the command: False",
    ]


def test_a_tracked_function_of_files_is_refused(tmp_path):
    clone = copy_repository(tmp_path / "clone")
    with open(clone / "Snakefile", "a") as stream:
        stream.write("\ntracked(lambda wildcards, output: output[0])\n")
    result = snakemake(clone, clone / "config/demo.yaml", "-n", "--list-rules")
    assert "must take only wildcards to be tracked" in result.stdout


def test_the_reason_of_a_rerun_names_the_changed_keys(tmp_path):
    clone = copy_repository(tmp_path / "clone")
    drawn_slide(tmp_path / "a.tiff", "lymphoid", 64, 64, seed=0)
    (tmp_path / "slides.csv").write_text("slide,path\na,a.tiff\n")
    dataset = {"kind": "slides", "sheet": str(tmp_path / "slides.csv"), "tile_px": 32, "mpp": 1.0}
    study = {"run": "tiny", "datasets": {"tissue": dataset}}
    config, targets = (
        write_config(tmp_path / "before.yaml", study),
        ("results/images/tissue/a.h5", "results/tiny/config.yaml"),
    )
    result = snakemake(clone, config, *targets)
    assert result.returncode == 0, result.stdout
    assert planned(clone, config, *targets) == {}

    dataset |= {"jpeg_quality": 80, "tissue": {"minimum_fraction": 0.3}}
    changed = snakemake(clone, write_config(tmp_path / "after.yaml", study | {"seeds": [0, 7]}), "-n", *targets).stdout
    reasons = dict(re.findall(r"rule (\w+):\n(?:    .*\n)*?    reason: (.*)", changed))
    now = {rule: set(re.findall(r"'([\w.]+): ", reason.split("now:")[1])) for rule, reason in reasons.items()}
    tiling = {"datasets.tissue.jpeg_quality", "datasets.tissue.tissue.minimum_fraction"}
    assert now == {"tile_slide": tiling, "store_config": tiling | {"seeds"}}
    before, after = reasons["tile_slide"].split("now:")
    assert "'datasets.tissue.jpeg_quality: 90'" in before
    assert "'datasets.tissue.jpeg_quality: 80'" in after
