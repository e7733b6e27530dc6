"""Dry runs with external encoders, with and without pre-training."""

import pytest
from tests.workflow.clone import TINY, copy_repository, planned, snakemake, write_config


@pytest.fixture
def encoder(finished):
    """The folder of an encoder of another run."""
    return {"path": str(finished.clone / "results/tiny/encoders/gen-dino/seed0")}


@pytest.fixture
def alone(finished, tmp_path, encoder):
    """A config with slides and an external encoder, without training."""
    values = {"run": "embed", "datasets": finished.values["datasets"], "encoders": {"mine": encoder}}
    return write_config(tmp_path / "embed.yaml", values)


def test_slides_are_embedded_by_an_external_encoder_without_training(finished, alone):
    assert planned(finished.clone, alone, "features") == {
        "import_encoder": 1,
        "embed_images": 2,
        "export_features": 1,
        "store_config": 1,
        "features": 1,
    }


def test_embedded_slides_have_a_table_of_outcomes(finished, tmp_path, encoder):
    values = {"run": "embed", "datasets": {"new": finished.values["datasets"]["tissue"]}, "encoders": {"mine": encoder}}
    jobs = planned(finished.clone, write_config(tmp_path / "embed.yaml", values), "features")
    assert jobs["index_images"] == 2  # units.tsv and outcomes.tsv


@pytest.mark.parametrize("target", ["encoders", "embeddings", "diffusion", "bank"])
def test_partial_targets_of_slides_include_the_table_of_outcomes(finished, tmp_path, target):
    tissue = finished.values["datasets"]["tissue"]
    changed = {"run": "other", "datasets": {"new": tissue}, "evaluation": {"datasets": ["new"]}, "export": {}}
    values = finished.values | changed
    values["pretraining"] = values["pretraining"] | {"dataset": "new"}
    result = snakemake(finished.clone, write_config(tmp_path / "other.yaml", values), "-n", target)
    assert "output: results/images/new/outcomes.tsv" in result.stdout


def test_targets_that_need_pretraining_end_with_one_line(finished, alone):
    result = snakemake(finished.clone, alone, "-n")
    assert result.returncode != 0
    assert result.stdout.splitlines()[-1].startswith("error: config: pretraining is missing: add it, or run")
    assert "Traceback" not in result.stdout


@pytest.mark.parametrize("target", ["geojson", "features", "attention", "diffusion", "bank"])
def test_a_target_with_nothing_to_make_is_refused(tmp_path, target):
    study = TINY | {"datasets": {"photos": {"kind": "torchvision", "name": "CIFAR10"}}, "banks": {}, "retraining": {}}
    study["pretraining"] = TINY["pretraining"] | {"dataset": "photos"}
    study["evaluation"] = TINY["evaluation"] | {"datasets": ["photos"]}
    result = snakemake(copy_repository(tmp_path / "clone"), write_config(tmp_path / "study.yaml", study), "-n", target)
    assert result.returncode != 0
    assert result.stdout.splitlines()[-1].startswith(f"error: config: {target} has nothing to make: add ")


def test_adding_an_external_encoder_reruns_no_other_encoder(finished, tmp_path, encoder):
    config = write_config(tmp_path / "beside.yaml", finished.values | {"encoders": {"mine": encoder}})
    assert planned(finished.clone, config) == {
        "import_encoder": 1,
        "embed_images": 2,
        "evaluate_encoder_on_slides": 1,
        "summarize": 1,
        "store_config": 1,
        "write_report": 1,
    }


def test_changing_the_initial_encoder_of_an_arm_retrains_only_that_arm(finished, tmp_path):
    values = finished.values | {"retraining": {"gen-dino": {"bank": "default", "init": "dino"}}}
    jobs = planned(finished.clone, write_config(tmp_path / "init.yaml", values))
    assert jobs["retrain_encoder"] == 1
    assert not {"pretrain_encoder", "train_diffusion", "generate_bank"} & set(jobs)


def test_an_external_encoder_is_imported_and_embeds_once_for_all_seeds(finished, tmp_path, encoder):
    one, two = (
        planned(
            finished.clone,
            write_config(tmp_path / f"{count}.yaml", finished.values | {"seeds": seeds, "encoders": {"mine": encoder}}),
            "all",
            "features",
        )
        for count, seeds in enumerate([[0], [0, 1]])
    )
    assert two["import_encoder"] == one["import_encoder"] == 1
    parts = 2  # of the train and the test split
    assert two["embed_images"] - one["embed_images"] == parts * len(["dino", "gen-dino", "random"])
    assert two["export_features"] - one["export_features"] == len(["dino", "gen-dino"])
    assert two["evaluate_encoder_on_slides"] - one["evaluate_encoder_on_slides"] == 5
