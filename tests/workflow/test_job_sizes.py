"""Memory and time of jobs, as Snakemake asks the functions of `job_sizes.smk` for them."""

from tests.workflow.clone import copy_repository, snakemake

# Appended to the Snakefile: a table and a store that are asked for before and after they grow.
GROWN = """
for rows in (1, 3):
    Path("table.tsv").write_text("images\\n" + "5\\n" * rows)
    Path("store.h5").write_bytes(bytes(rows))
    print("sizes", images_listed("table.tsv"), store_bytes("store.h5"))
"""


def test_a_data_set_that_grew_during_a_run_is_counted_anew(tmp_path):
    clone = copy_repository(tmp_path / "clone")
    with open(clone / "Snakefile", "a") as stream:
        stream.write(GROWN)
    shown = snakemake(clone, clone / "config/demo.yaml", "-n", "--list-rules").stdout
    assert [line for line in shown.splitlines() if line.startswith("sizes")] == ["sizes 5 1", "sizes 15 3"], shown
