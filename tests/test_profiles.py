"""The profiles fit the workflow's rules, and Snakemake finds the default one."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import humanfriendly
import pytest
import yaml
import yte
from snakemake.resources import GroupResources, Resources

ROOT = Path(__file__).parents[1]
PROFILES = sorted(ROOT.glob("profiles/*/profile.yaml"))


def rules_with_gpus() -> set[str]:
    text = "\n".join(path.read_text() for path in ROOT.glob("workflow/rules/*.smk"))
    rules = re.findall(r"^rule (\w+):\n((?:[ \t].*\n|\n)*)", text, re.MULTILINE)
    found = {name for name, body in rules if re.search(r"^\s+gpu=", body, re.MULTILINE)}
    return found | {heir for rule, heir in re.findall(r"^use rule (\w+) as (\w+)", text, re.MULTILINE) if rule in found}


def slurm_profile(gpus: int = 1) -> dict:
    """The profile of SLURM for trainings with a number of GPUs."""
    text = (ROOT / "profiles" / "slurm" / "profile.yaml").read_text()
    assert text.count("\n  gpus: 1\n") == 1
    return yte.process_yaml(text.replace("\n  gpus: 1\n", f"\n  gpus: {gpus}\n"), require_use_yte=True)


@pytest.mark.parametrize("gpus", [0, 1, 4])
def test_one_number_of_the_slurm_profile_sets_the_gpus_of_every_rule_that_uses_them(gpus):
    trainings = {"pretrain_encoder", "retrain_encoder", "train_autoencoder", "train_diffusion"}
    wanted = slurm_profile(gpus)["set-resources"]
    assert trainings < rules_with_gpus()
    assert {rule: wanted[rule]["gpu"] for rule in trainings} == dict.fromkeys(trainings, gpus)
    assert {wanted[rule]["gpu"] for rule in rules_with_gpus() - trainings} == {min(gpus, 1)}
    assert {wanted[rule].get("nodes") for rule in trainings} == {1}  # otherwise GPUs of several nodes may be given


def test_a_kubernetes_pod_works_in_its_volume_with_the_gpus_that_it_requests():
    pod = yaml.safe_load((ROOT / "profiles/kubernetes/job.yaml").read_text())["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (work,) = [each["name"] for each in pod["volumes"] if "persistentVolumeClaim" in each]
    (path,) = [each["mountPath"] for each in container["volumeMounts"] if each["name"] == work]
    assert container["workingDir"].startswith(f"{path}/")
    assert f"gpu={container['resources']['limits']['nvidia.com/gpu']} " in container["args"][0]
    assert f"--cores {container['resources']['requests']['cpu']} " in container["args"][0]


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
    profile = slurm_profile()
    assert profile["cores"] == 8
    assert profile["group-components"][profile["groups"][rule]] == 20
    own = profile["set-resources"][rule]
    minutes = round(humanfriendly.parse_timespan(own["runtime"]) / 60)
    resources = {"_cores": threads_of(rule), "mem_mb": own["mem_mb"], "runtime": minutes}
    jobs = [SimpleNamespace(resources=resources, pipe_group=None) for _ in range(members)]
    asked = GroupResources.basic_layered([jobs], Resources.from_mapping({"_cores": cores}), run_local=False)
    assert (asked["_cores"], asked["mem_mb"], asked["runtime"]) == expected


def test_exports_are_submitted_to_slurm_in_groups_like_the_slides_that_they_are_made_of():
    profile = slurm_profile()
    for rule in ("export_images", "export_bank"):
        assert profile["group-components"][profile["groups"][rule]] == 20
        assert profile["set-resources"][rule] == profile["set-resources"]["tile_slide"]


def test_the_command_for_several_gpus_names_every_training():
    (row,) = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| several GPUs |")]
    trainings = {rule for rule, own in slurm_profile(4)["set-resources"].items() if own.get("gpu") == 4}
    assert set(re.findall(r"(\w+):gpu=4", row)) == set(re.findall(r"(\w+)=32", row)) == trainings


def test_no_rule_uses_more_cpus_than_a_cluster_job():
    profile = slurm_profile()
    text = "\n".join(path.read_text() for path in ROOT.glob("workflow/rules/*.smk"))
    assert profile["cores"] == max(int(threads) for threads in re.findall(r"^    threads: (\d+)", text, re.MULTILINE))


def test_the_slurm_profile_reads_no_input_sizes_when_planning():
    profile = slurm_profile()
    assert {"mem_mb", "disk_mb"} <= profile["default-resources"].keys()
    assert "input" not in str(profile["default-resources"])


def test_the_slurm_profile_asks_squeue_and_names_its_partitions_beside_it():
    profile = slurm_profile()
    assert profile["slurm-status-command"] == "squeue"  # for sacct, a cancelled job never ends
    partitions = yaml.safe_load((ROOT / "profiles/slurm" / profile["slurm-partition-config"]).read_text())["partitions"]
    assert sorted(bool(limits["max_gpu"]) for limits in partitions.values()) == [False, True]
