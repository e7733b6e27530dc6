"""A finished run with banks of real images, a judge and a longer arm: only what they need is made, and all is whole."""

import shutil

import h5py
import pytest
from tests.workflow.clone import snakemake, write_config

from gensis.artifacts.files import read_json
from gensis.artifacts.tables import read_table
from gensis.settings import load_study
from gensis.verification.study import verify

BANKS = {
    "near": {"kind": "neighbours", "variants": 2, "shards": 2, "filter": {"minimum_fidelity": -0.9}},
    "own": {"kind": "sources"},
}

pytestmark = pytest.mark.slow  # one more whole run


@pytest.fixture(scope="module")
def controlled(finished, tmp_path_factory):
    """A copy of the finished run, to which an arm with each kind of bank, an arm without a bank and an encoder that
    judges banks were added; and its verified lines."""
    clone = shutil.copytree(finished.clone, tmp_path_factory.mktemp("controls") / "clone", symlinks=True)
    arms = {name: {"bank": name, "disentangle_weight": 0} for name in BANKS}
    values = finished.values
    values |= {"banks": values["banks"] | BANKS, "retraining": values["retraining"] | arms | {"twice": {"epochs": 4}}}
    values["encoders"] = {"theirs": {"path": str(finished.clone / "results/tiny/encoders/gen-dino/seed0")}}
    values["evaluation"] |= {"judge": "theirs"}
    result = snakemake(clone, write_config(clone.parent / "controls.yaml", values))
    assert result.returncode == 0, result.stdout[-5000:]
    return clone, result.stdout, verify(load_study(values), clone / "results/tiny", clone / "results/images")


def test_the_run_is_intact_and_no_model_was_trained_or_image_generated_for_them(controlled):
    _, log, findings = controlled
    assert findings == []
    made = {line.split("(Rule: ")[1].rstrip(")") for line in log.splitlines() if "(Rule: " in line}
    assert {"copy_bank", "filter_bank", "evaluate_bank", "retrain_encoder", "write_report"} <= made
    assert not {"train_diffusion", "generate_bank", "pretrain_encoder"} & made


def test_neighbours_are_other_images_and_sources_are_themselves(controlled):
    run = controlled[0] / "results/tiny/bank"
    for path in [*run.glob("near/seed0/generative-*.h5"), run / "own/seed0/generative-0000.h5"]:
        with h5py.File(path) as file:
            same = file["copied"][:] == file["source"][:]
        assert len(same)
        assert same.all() if path.parts[-3] == "own" else not same.any()


def test_the_report_calls_them_controls_and_is_about_the_generated_bank(controlled):
    page = (controlled[0] / "results/tiny/report.html").read_text()
    assert "Does gen-dino beat dino" in page
    assert "the nearest real images of each source as a control" in page
    assert "in place of generated images, bank own has the sources themselves" in page


def test_what_needs_a_diffusion_model_is_skipped_in_their_quality(controlled):
    quality = read_json(controlled[0] / "results/tiny/bank/own/seed0/quality.json")
    assert {"held-out images", "diversity"} <= set(quality["skipped"])


def test_every_bank_is_judged_by_the_encoder_that_the_study_names(controlled):
    run = controlled[0] / "results/tiny"
    weights = read_json(run / "encoders/theirs/seed0/provenance.json")["weights"]
    for bank in ("default", *BANKS):
        quality = read_json(run / f"bank/{bank}/seed0/quality.json")
        assert quality["provenance"]["inputs"]["judge"] == weights
        measured = {point["kind"] for point in quality["view_distance"]["points"]}
        assert {"views", "bank", "neighbours", "others"} <= measured
    assert "Judged by theirs" in (run / "report.html").read_text()


def test_the_arm_without_a_bank_has_twice_the_compute_in_report_and_table(controlled):
    run = controlled[0] / "results/tiny"
    assert "<h2>Plateau</h2>" in (run / "report.html").read_text()
    passes = {row["encoder"]: float(row["forward_passes"]) for row in read_table(run / "costs.csv", delimiter=",")}
    assert passes["twice"] == 2 * passes["dino"] > 0
