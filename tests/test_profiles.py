"""The profiles fit the workflow's rules, and Snakemake finds the default one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROFILES = sorted(ROOT.glob("profiles/*/profile.yaml"))


def rules_with_cards() -> set[str]:
    text = "\n".join(path.read_text() for path in ROOT.glob("workflow/rules/*.smk"))
    rules = re.findall(r"^rule (\w+):\n((?:[ \t].*\n|\n)*)", text, re.MULTILINE)
    found = {name for name, body in rules if re.search(r"^\s+gpu=", body, re.MULTILINE)}
    return found | {heir for rule, heir in re.findall(r"^use rule (\w+) as (\w+)", text, re.MULTILINE) if rule in found}


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_cluster_profiles_give_a_card_to_every_rule_that_uses_one(name):
    profile = yaml.safe_load((ROOT / "profiles" / name / "profile.yaml").read_text())
    assert {"pretrain_encoder", "evaluate_encoder"} < rules_with_cards()
    assert rules_with_cards() <= {rule for rule, wanted in profile["set-resources"].items() if wanted["gpu"]}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_every_entry_of_a_profile_has_a_comment(path):
    paragraphs = path.read_text().split("\n\n")
    assert all(paragraph.startswith("#") for paragraph in paragraphs)


def test_snakemake_finds_the_default_profile():
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--configfile", "config/demo.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Using workflow specific profile profiles/default for setting default command line arguments." in done.stderr
