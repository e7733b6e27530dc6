"""Planning of jobs: the rule `plan` takes rates, and jobs ask for memory and time by the size of the study."""

import re

import pytest
from tests.workflow.clone import copy_repository, snakemake

UNITS = "unit\timages\tfirst_row\tcontent\na\t{images}\t0\t0123456789abcdef\n"


@pytest.fixture
def clone(tmp_path):
    return copy_repository(tmp_path / "clone")


def resources(clone, *options) -> dict[str, str]:
    """Rule -> its resources, of the jobs that a dry run of the demo lists."""
    shown = snakemake(clone, clone / "config/demo.yaml", "-n", *options).stdout
    return dict(re.findall(r"^(?:local)?rule (\w+):\n(?:    .*\n)*?    resources: (.*)$", shown, re.MULTILINE))


def test_the_plan_is_given_rates_of_another_machine(clone):
    shown = snakemake(clone, clone / "config/demo.yaml", "plan", "-n", "-p", "--config", "rates=of/another.yaml").stdout
    assert "--rates of/another.yaml --output results/demo/benchmarks/rates.yaml" in shown
    assert "--rates" not in snakemake(clone, clone / "config/demo.yaml", "plan", "-n", "-p").stdout


def test_with_rates_alone_the_demo_is_planned(clone):
    shown = snakemake(clone, None, "plan", "-n", "-p", "--config", "rates=of/another.yaml").stdout
    assert "--rates of/another.yaml --output results/demo/benchmarks/rates.yaml" in shown


def test_a_training_asks_for_memory_and_time_when_its_images_are_counted(clone):
    unknown = resources(clone)["pretrain_encoder"]
    assert "mem_mb=<TBD>" in unknown
    table = clone / "results/images/demo/train.tsv"
    table.parent.mkdir(parents=True)
    table.write_text(UNITS.format(images=1_000_000))
    found = resources(clone, "--until", "pretrain_encoder", "--rerun-triggers", "mtime")["pretrain_encoder"]
    assert re.search(r"mem_mb=\d+", found)


def test_a_profile_overrides_them(clone):
    given = resources(clone, "--set-resources", "pretrain_encoder:mem_mb=64000", "pretrain_encoder:runtime=24h")
    assert "mem_mb=64000" in given["pretrain_encoder"]
    assert "runtime=1440" in given["pretrain_encoder"]
