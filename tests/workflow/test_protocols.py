"""Dry runs of other evaluation protocols: published protocols of slides, and DINO's linear protocol."""

import re
import subprocess

import pytest
import yaml
from tests.workflow.clone import TINY, copy_repository, planned, snakemake, write_config

ENCODERS = 5  # dino, two arms, an untrained encoder, pixels


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone with two training slides, and the sheets and slides of both protocols."""
    clone = copy_repository(tmp_path_factory.mktemp("protocols") / "clone")
    (clone / "train_images").mkdir()
    for name in ("a", "b", "c"):
        (clone / f"train_images/{name}.tiff").write_bytes(b"not looked at by a plan")
    (clone / "tissue.csv").write_text("slide,path\na,train_images/a.tiff\nb,train_images/b.tiff\n")
    (clone / "train.csv").write_text("image_id,data_provider,isup_grade,gleason_score\na,radboud,0,0+0\nb,k,5,5+4\n")
    command = re.search(r"awk .*", (clone / "config/panda.yaml").read_text())[0]
    subprocess.run(command, shell=True, check=True, cwd=clone)
    of_bright = "slide,path,label,split,group\n"
    of_bright += "".join(
        f"{name},train_images/{name}.tiff,{label},{split},{name}\n"
        for name, label, split in zip("abc", ("noncancerous", "cancerous", "cancerous"), ("train", "train", "test"))
    )
    (clone / "bright.csv").write_text(of_bright)
    return clone


@pytest.mark.parametrize(("protocol", "seeds", "parts"), [("panda", 6, 1), ("bright", 3, 2)])
def test_encoders_are_trained_on_one_data_set_and_evaluated_on_another(clone, protocol, seeds, parts):
    jobs = planned(clone, clone / f"config/{protocol}.yaml")
    assert jobs["tile_slide"] == 2 + (2 if protocol == "panda" else 3)
    assert (jobs["pretrain_encoder"], jobs["retrain_encoder"]) == (seeds, 2 * seeds)
    assert jobs["evaluate_encoder_on_slides"] == ENCODERS * seeds
    # Evaluated slides are embedded by all encoders, those of raw pixels once for all seeds; training slides by the
    # encoder that conditions the bank.
    assert jobs["embed_images"] == ((ENCODERS - 1) * seeds + 1) * parts + seeds
    assert not {"evaluate_encoder", "track_knn"} & jobs.keys()


@pytest.mark.parametrize(("protocol", "seen"), [("panda", 3), ("bright", 0)])
def test_training_slides_listed_in_another_data_set_are_seen(clone, protocol, seen):
    """Both slides of `panda` are in the sheet of training slides; the slide that `bright` tests is not."""
    values = yaml.safe_load((clone / f"config/{protocol}.yaml").read_text()) | {"seeds": [0]}
    plan = snakemake(clone, write_config(clone / "one-seed.yaml", values), "-n", "-p").stdout
    commands = re.findall(r"evaluate_encoder\.py .*", plan)
    assert len(commands) == ENCODERS
    assert sum("--seen" in command for command in commands) == seen
    assert sum("--learnt-from results/images/tissue/train.tsv" in command for command in commands) == 3


def test_only_tested_images_are_embedded_with_corruptions(clone, tmp_path):
    """Images of the test split, or of train if test has no labels, or no labels of images."""
    splits = {"a": "train", "b": "train", "c": "test"}
    studies = {
        "labelled": {"a": "x", "b": "y", "c": "x"},
        "unlabelled": {"a": "x", "b": "y", "c": ""},
        "whole": {"a": "x", "b": "y", "c": "x"},
    }
    (clone / "tiles.geojson").write_text("not looked at by a plan")
    datasets = {}
    for name, labels in studies.items():
        lines = [
            f"{slide},train_images/{slide}.tiff,{labels[slide]},{split},"
            f"{'tiles.geojson' if (name, slide) == ('whole', 'a') else ''}\n"
            for slide, split in splits.items()
        ]
        (clone / f"{name}.csv").write_text("".join(["slide,path,label,split,annotations\n", *lines]))
        datasets[name] = {"kind": "slides", "sheet": f"{name}.csv"}
    study = TINY | {"datasets": datasets, "embedding": {"units_per_part": 1}}
    study["pretraining"] = TINY["pretraining"] | {"dataset": "labelled"}
    study["evaluation"] = TINY["evaluation"] | {"datasets": list(studies), "corruptions": ["blur"]}
    jobs = planned(clone, write_config(tmp_path / "study.yaml", study))
    assert jobs["embed_corrupted"] == 4 * 5 * (1 + 2 + 2)


def test_last_blocks_are_embedded_only_for_dinos_linear_protocol(clone, tmp_path):
    def jobs(**evaluation):
        study = TINY | {"datasets": {"d": {"kind": "torchvision", "name": "CIFAR10"}}}
        study["pretraining"] = TINY["pretraining"] | {"dataset": "d"}
        study["evaluation"] = TINY["evaluation"] | {"datasets": ["d"]} | evaluation
        return planned(clone, write_config(tmp_path / "study.yaml", study))

    plain, with_blocks = jobs(), jobs(linear_sgd=True)
    assert with_blocks["embed_blocks"] == with_blocks["embed_images"] == plain["embed_images"]
    assert {name: count for name, count in with_blocks.items() if name not in ("embed_blocks", "total")} == plain


def test_slides_that_are_all_of_the_test_split_are_embedded_and_tested_by_a_transfer_only(clone, tmp_path):
    lines = "".join(f"{name},{clone}/train_images/{name}.tiff,{label},test\n" for name, label in zip("ab", "xy"))
    (tmp_path / "test.csv").write_text(f"slide,path,label,split\n{lines}")
    (tmp_path / "fit.csv").write_text(f"slide,path,label\nc,{clone}/train_images/c.tiff,x\n")
    datasets = {name: {"kind": "slides", "sheet": str(tmp_path / f"{name}.csv")} for name in ("test", "fit")}
    values = {"run": "cohort", "datasets": datasets, "encoders": {"mine": {"timm": "vit_small_patch16_224.dino"}}}

    def config(**evaluation):
        return write_config(tmp_path / "cohort.yaml", values | {"evaluation": evaluation})

    of_features = planned(clone, config(), "features", "images")
    assert (of_features["tile_slide"], of_features["export_features"]) == (3, 2)
    transfer = [{"fit": "fit", "test": ["test"]}]
    jobs = planned(clone, config(datasets=["test", "fit"], transfer=transfer))
    assert (jobs["evaluate_transfer_on_slides"], jobs["evaluate_encoder_on_slides"]) == (2, 2)  # mine and pixels
    for refused in (
        config(datasets=["test"]),
        config(datasets=["test", "fit"], transfer=[{"fit": "test", "test": ["fit"]}]),
    ):
        shown = snakemake(clone, refused, "-n").stdout
        assert "error: datasets.test has an empty train split, so no classifier can be fitted" in shown


def test_transfers_and_benchmarks_are_jobs_of_their_own_and_a_missing_benchmark_is_refused(clone, tmp_path):
    def planned_with(**evaluation):
        datasets = {name: {"kind": "torchvision", "name": name} for name in ("CIFAR10", "CIFAR100")}
        study = TINY | {"datasets": datasets, "pretraining": TINY["pretraining"] | {"dataset": "CIFAR10"}}
        study["evaluation"] = TINY["evaluation"] | {"datasets": list(datasets)} | evaluation
        return write_config(tmp_path / "study.yaml", study)

    (clone / "copydays/original").mkdir(parents=True)
    benchmarks = {"copies": {"task": "copy-detection", "path": "copydays"}}
    refused = snakemake(clone, planned_with(benchmarks=benchmarks), "-n")
    assert "error: evaluation.benchmarks.copies: copydays/strong does not exist: download" in refused.stdout
    assert refused.returncode == 1
    (clone / "copydays/strong").mkdir()
    plain = planned(clone, planned_with())
    transfer = [{"fit": "CIFAR10", "test": ["CIFAR100"]}]
    jobs = planned(clone, planned_with(benchmarks=benchmarks, transfer=transfer))
    measured = {name: count for name, count in jobs.items() if plain.get(name) != count}
    assert measured == {"evaluate_transfer": 4, "evaluate_benchmark": 3}  # dino, an arm, an untrained encoder, pixels


def test_slide_classifiers_of_one_data_set_are_tested_on_another_in_jobs_of_their_own(clone, tmp_path):
    datasets = {name: {"kind": "slides", "sheet": "bright.csv", "tile_px": 32} for name in ("here", "there")}
    study = TINY | {"datasets": datasets, "pretraining": TINY["pretraining"] | {"dataset": "here"}}

    def jobs_with(**evaluation):
        study["evaluation"] = TINY["evaluation"] | {"datasets": ["here", "there"]} | evaluation
        return planned(clone, write_config(tmp_path / "study.yaml", study))

    plain, jobs = jobs_with(), jobs_with(transfer=[{"fit": "here", "test": ["there"]}])
    measured = {name: count for name, count in jobs.items() if plain.get(name) != count}
    assert measured == {"evaluate_transfer_on_slides": 4}  # dino, an arm, an untrained encoder, pixels
