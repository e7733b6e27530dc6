"""Memory and time of jobs, as Snakemake asks the functions of `job_sizes.smk` for them."""

import pytest
import yaml
from tests.workflow.clone import copy_repository, snakemake, write_config

# Appended to the Snakefile: a table that is asked for before and after it grows.
GROWN = """
for rows in (1, 3):
    Path("table.tsv").write_text("images\\n" + "5\\n" * rows)
    print("sizes", images_listed("table.tsv"))
"""

# The time of a part of 10 GB on a CPU.
OF_A_PART = """
from types import SimpleNamespace
with open("store.h5", "wb") as stream:
    stream.truncate(10**10)
workflow.resource_settings.overwrite_resources = {"own": {"gpu": SimpleNamespace(value=0)}}
part = SimpleNamespace(encoder="dino", dataset=TRAINED_ON), SimpleNamespace(stores=["store.h5"])
print("sizes", *(rule(*part, attempt=1, rulename="own") for rule in (embedding_time, blocks_time)))
"""


def sizes(clone, config, code):
    """What code that is appended to the Snakefile of a clone prints."""
    snakefile = clone / "Snakefile"
    before = snakefile.read_text()
    snakefile.write_text(before + code)
    shown = snakemake(clone, config, "-n", "--list-rules").stdout
    snakefile.write_text(before)
    found = [line.split()[1:] for line in shown.splitlines() if line.startswith("sizes")]
    assert found, shown
    return [tuple(map(int, numbers)) for numbers in found]


def test_a_data_set_that_grew_during_a_run_is_counted_anew(tmp_path):
    clone = copy_repository(tmp_path / "clone")
    assert sizes(clone, clone / "config/demo.yaml", GROWN) == [(5,), (15,)]


def test_mirrored_images_take_as_much_time_again_as_the_images(tmp_path):
    clone = copy_repository(tmp_path / "clone")
    values = yaml.safe_load((clone / "config/demo.yaml").read_text())
    ((plain, blocks),) = sizes(clone, write_config(tmp_path / "plain.yaml", values), OF_A_PART)
    values["embedding"] = {"flips": True}
    ((mirrored, of_both),) = sizes(clone, write_config(tmp_path / "flips.yaml", values), OF_A_PART)
    assert mirrored == blocks == of_both  # blocks are always those of mirrored images too
    assert mirrored - plain == pytest.approx(plain, abs=60)  # START_MINUTES, and rounding to it
    assert plain > 120
