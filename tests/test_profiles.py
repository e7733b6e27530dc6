"""The profiles fit the workflow's rules, and Snakemake finds the default one."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import humanfriendly
import pytest
import yaml
from snakemake.resources import GroupResources, Resources

ROOT = Path(__file__).parents[1]
PROFILES = sorted(ROOT.glob("profiles/*/profile.yaml"))


def rules_with_gpus() -> set[str]:
    text = "\n".join(path.read_text() for path in ROOT.glob("workflow/rules/*.smk"))
    rules = re.findall(r"^rule (\w+):\n((?:[ \t].*\n|\n)*)", text, re.MULTILINE)
    found = {name for name, body in rules if re.search(r"^\s+gpu=", body, re.MULTILINE)}
    return found | {heir for rule, heir in re.findall(r"^use rule (\w+) as (\w+)", text, re.MULTILINE) if rule in found}


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_cluster_profiles_give_a_gpu_to_every_rule_that_uses_one(name):
    profile = yaml.safe_load((ROOT / "profiles" / name / "profile.yaml").read_text())
    assert {"pretrain_encoder", "evaluate_encoder"} < rules_with_gpus()
    assert rules_with_gpus() <= {rule for rule, wanted in profile["set-resources"].items() if wanted.get("gpu")}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_every_entry_of_a_profile_has_a_comment(path):
    paragraphs = path.read_text().split("\n\n")
    assert all(paragraph.startswith("#") for paragraph in paragraphs)


def test_snakemake_finds_the_default_profile():
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--configfile", "config/demo.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Using workflow specific profile profiles/default for setting default command line arguments." in done.stderr


def threads_of(rule: str) -> int:
    """CPUs that a rule of `images.smk` requests; 1 by default."""
    body = (ROOT / "workflow" / "rules" / "images.smk").read_text().split(f"rule {rule}:")[1].split("\nrule ")[0]
    found = re.search(r"^    threads: (\d+)", body, re.MULTILINE)
    return int(found[1]) if found else 1


@pytest.mark.parametrize(
    ("rule", "members", "cores", "expected"),
    [
        ("tile_slide", 20, 8, (8, 8_000, 150)),
        ("tile_slide", 20, 4, (4, 4_000, 300)),
        ("tile_slide", 1, 8, (2, 2_000, 30)),
        ("import_images", 20, 8, (8, 16_000, 90)),
    ],
)
def test_a_slurm_group_requests_the_resources_that_the_readme_lists(rule, members, cores, expected):
    profile = yaml.safe_load((ROOT / "profiles" / "slurm" / "profile.yaml").read_text())
    assert profile["cores"] == 8
    assert profile["group-components"][profile["groups"][rule]] == 20
    own = profile["set-resources"][rule]
    minutes = round(humanfriendly.parse_timespan(own["runtime"]) / 60)
    resources = {"_cores": threads_of(rule), "mem_mb": own["mem_mb"], "runtime": minutes}
    jobs = [SimpleNamespace(resources=resources, pipe_group=None) for _ in range(members)]
    asked = GroupResources.basic_layered([jobs], Resources.from_mapping({"_cores": cores}), run_local=False)
    assert (asked["_cores"], asked["mem_mb"], asked["runtime"]) == expected


def test_no_rule_uses_more_cpus_than_a_cluster_job():
    profile = yaml.safe_load((ROOT / "profiles" / "slurm" / "profile.yaml").read_text())
    text = "\n".join(path.read_text() for path in ROOT.glob("workflow/rules/*.smk"))
    assert profile["cores"] == max(int(threads) for threads in re.findall(r"^    threads: (\d+)", text, re.MULTILINE))


def test_the_slurm_profile_reads_no_input_sizes_when_planning():
    profile = yaml.safe_load((ROOT / "profiles" / "slurm" / "profile.yaml").read_text())
    assert {"mem_mb", "disk_mb"} <= profile["default-resources"].keys()
    assert "input" not in str(profile["default-resources"])
