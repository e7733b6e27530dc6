import csv
import os
import re

import h5py
import pytest
import timm
import torch
from tests.workflow.clone import TINY, copy_repository, snakemake, write_config

from gensis.artifacts.files import read_json
from gensis.artifacts.tables import read_table
from gensis.diffusion.pipeline import GenSISPipeline


def test_the_default_profile_is_found_and_effective(finished):
    assert "Using workflow specific profile profiles/default" in finished.log


def test_every_encoder_is_in_the_summary_with_chance(finished):
    with open(finished.clone / "results/tiny/summary.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["encoder", "dataset", "seed", "task", "metric", "value", "low", "high", "n", "n_groups"]
    assert {row["n_groups"] for row in rows} == {"2"}  # two tested slides have tiles, of one patient each
    assert {row["encoder"] for row in rows} == {"dino", "gen-dino", "random", "pixels", "chance"}
    assert {row["task"] for row in rows} == {"knn", "linear", "slides-mean", "slides-abmil"}
    assert all(0 <= float(row["value"]) <= 1 for row in rows)


def test_unreadable_slides_are_recorded_and_the_run_continues(finished):
    rows = {row["unit"]: row for row in read_table(finished.clone / "results/images/tissue/outcomes.tsv")}
    assert rows["glass"]["outcome"] == "no_tissue"
    assert rows["broken"]["outcome"] == "unreadable"
    assert rows["broken"]["reason"]
    assert [rows[name]["outcome"] for name in ("lymphoid-1", "glandular-3")] == ["ok", "ok"]
    assert "2 of 8 slides gave no images" in finished.log


def test_too_many_failed_slides_stop_a_run_before_training(finished, tmp_path):
    clone = copy_repository(tmp_path / "clone")
    lines = "slide,path", *(f"{name},{finished.slides}/{name}.tiff" for name in ("lymphoid-1", "broken"))
    (tmp_path / "slides.csv").write_text("\n".join(lines) + "\n")
    tissue = finished.values["datasets"]["tissue"] | {"sheet": str(tmp_path / "slides.csv"), "columns": {}}
    values = finished.values | {"datasets": {"tissue": tissue | {"max_failed_slides": 0.1}}}
    result = snakemake(clone, write_config(tmp_path / "few.yaml", values), "encoders")
    assert result.returncode != 0
    assert "error: 1 of 2 training slides of results/images/tissue gave no images" in result.stdout
    assert [row["unit"] for row in read_table(clone / "results/images/tissue/outcomes.failed.tsv")] == ["broken"]
    assert not (clone / "results/tiny/encoders").exists()


def test_labels_groups_and_splits_are_only_in_tables_of_evaluation(finished):
    folder = finished.clone / "results/images/tissue"
    labels = {"lymphoid", "glandular"}
    with h5py.File(folder / "lymphoid-1.h5") as file:
        assert not any(word in str(dict(file.attrs)) for word in ("label", "p1"))
    for name in ("train.tsv", "units.tsv", "outcomes.tsv"):
        values = [set(row.values()) for row in read_table(folder / name)]
        assert not any(labels & each for each in values)
    assert {row["unit"] for row in read_table(folder / "train.tsv")} == {
        "lymphoid-1", "lymphoid-2", "glandular-1", "glandular-2",
    }  # fmt: skip


def test_models_load_through_timm_and_diffusers(finished):
    run = finished.clone / "results/tiny"
    model = timm.create_model(f"local-dir:{run}/encoders/gen-dino/seed0", pretrained=True, num_classes=0)
    width = model(torch.zeros(1, 3, 16, 16)).shape[1]
    pipeline = GenSISPipeline.from_pretrained(run / "diffusion/dino/seed0")
    images = pipeline(torch.randn(2, width), num_inference_steps=2)
    assert images.shape == (2, 3, 16, 16)


def test_the_bank_has_both_kinds_of_images_for_every_training_image(finished):
    images = sum(int(row["images"]) for row in read_table(finished.clone / "results/images/tissue/train.tsv"))
    bank = finished.clone / "results/tiny/bank/default/seed0"
    with h5py.File(bank / "generative-0000.h5") as one, h5py.File(bank / "interpolated-0000.h5") as two:
        assert one["source"][:].tolist() == two["source"][:].tolist() == list(range(images))
        assert (two["partner"][:] != two["source"][:]).all()
        assert (two["alpha"][:] == 0.5).all()


def test_only_gen_dino_is_trained_with_the_disentanglement_task(finished):
    encoders = finished.clone / "results/tiny/encoders"
    assert "disentangle" in (encoders / "gen-dino/seed0/history.csv").read_text()
    assert "disentangle" not in (encoders / "dino/seed0/history.csv").read_text()


def test_the_report_has_all_sections(finished):
    page = (finished.clone / "results/tiny/report.html").read_text()
    for word in ("gen-dino", "random", "pixels", "chance", "lymphoid-1", "broken", "data:image"):
        assert word in page
    assert not re.search(r'(src|href)="https?://(?!arxiv)', page)


def test_verify_passes_an_intact_run_and_reports_damage(finished):
    assert snakemake(finished.clone, finished.config, "verify").returncode == 0
    path = finished.clone / "results/images/tissue/lymphoid-1.h5"
    before, times = path.read_bytes(), path.stat()

    def keep_times():  # a faulty disk changes no dates
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    try:
        with h5py.File(path, "r+") as file:
            file["encoded"][100] ^= 255
        keep_times()
        result = snakemake(finished.clone, finished.config, "verify")
    finally:
        path.write_bytes(before)
        keep_times()
    assert result.returncode != 0
    assert "lymphoid-1.h5: damaged" in result.stdout


def test_verify_reports_missing_files_of_an_unfinished_run_and_makes_none(finished, tmp_path):
    config = write_config(tmp_path / "other.yaml", finished.values | {"run": "other"})
    result = snakemake(finished.clone, config, "verify")
    assert result.returncode != 0
    missing = "results/other/encoders/dino/seed0/provenance.json"
    assert result.stdout.splitlines()[-1] == (
        f"error: the run is not finished: {missing} is missing: run snakemake first"
    )
    assert not (finished.clone / "results/other").exists()


def test_a_target_makes_only_its_part_of_the_run(finished):
    targets = ["images", "encoders", "embeddings", "features", "diffusion", "bank", "evaluation"]
    assert "Nothing to be done" in snakemake(finished.clone, finished.config, "-n", *targets).stdout


def test_the_plan_lists_the_work_of_a_run(finished):
    rates = "rates=resources/rates/h100-16-cores.yaml"
    text = snakemake(finished.clone, finished.config, "plan", "--config", rates).stdout
    sources = sum(int(row["images"]) for row in read_table(finished.clone / "results/images/tissue/train.tsv"))
    (images,) = re.findall(r"^bank default +([\d,]+) ", text, re.MULTILINE)
    assert int(images.replace(",", "")) == 2 * sources > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pretraning": {}}, "unknown key pretraning"),
        ({"seeds": "all"}, "seeds = all"),
        ({"run": "a/b"}, "is not a valid name"),
        ({"pretraining": {"dataset": "tissue", "backbone": "vit_gigantic"}}, "timm has no model 'vit_gigantic'"),
        ({"datasets": {"tissue": {"kind": "slides", "sheet": "absent.csv"}}}, "sheet absent.csv does not exist"),
        ({"autoencoder": "trian"}, "autoencoder: 'trian' is not auto, none, train or a folder"),
    ],
    ids=["unknown-key", "wrong-type", "name", "backbone", "sheet", "autoencoder"],
)
def test_a_config_error_ends_with_one_line_and_no_traceback(finished, tmp_path, change, message):
    result = snakemake(finished.clone, write_config(tmp_path / "bad.yaml", finished.values | change), "-n")
    assert result.returncode != 0
    errors = [line for line in result.stdout.splitlines() if "error" in line.lower()]
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert message in errors[0]
    assert "Traceback" not in result.stdout


def test_a_missing_sheet_is_named_with_its_data_set_and_the_folders_that_were_searched(tmp_path):
    clone, elsewhere = copy_repository(tmp_path / "clone"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    values = {"run": "tiny", "datasets": {"tissue": {"kind": "slides", "sheet": "my sheet.csv"}}}
    config = write_config(tmp_path / "study.yaml", values)
    shown = snakemake(elsewhere, config, "-n", "--snakefile", str(clone / "Snakefile")).stdout
    where = f"does not exist in {elsewhere} or {clone}: correct `sheet`"
    assert f"error: datasets.tissue: sheet my sheet.csv {where}" in shown.splitlines()


def test_paths_may_be_relative_to_the_snakefile(tmp_path):
    clone = copy_repository(tmp_path / "clone")
    for folder in (tmp_path / "elsewhere", clone / "photos/train", clone / "vae"):
        folder.mkdir(parents=True)
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        (clone / "vae" / name).touch()
    photos = {"kind": "folder", "path": "photos", "splits": {"train": "train"}}
    values = TINY | {"datasets": {"photos": photos}, "autoencoder": "vae"}
    values["pretraining"] = TINY["pretraining"] | {"dataset": "photos"}
    config = write_config(tmp_path / "beside.yaml", values)
    result = snakemake(tmp_path / "elsewhere", config, "-n", "-p", "--snakefile", str(clone / "Snakefile"))
    assert result.returncode == 0, result.stdout
    assert f'"path":"{clone}/photos"' in result.stdout
    assert f"--autoencoder {clone}/vae" in result.stdout


def test_the_resolved_config_is_stored(finished):
    text = (finished.clone / "results/tiny/config.yaml").read_text()
    assert "conditioning_dropout: 0.1" in text


def test_provenance_has_settings_inputs_and_versions(finished):
    record = read_json(finished.clone / "results/tiny/encoders/gen-dino/seed0/provenance.json")
    assert record["format"] == "gensis-encoder/1"
    shards = {"generative-0000", "interpolated-0000"}
    assert set(record["inputs"]) == {"train", *shards, *(f"filter/{shard}" for shard in shards)}
    assert record["settings"]["bank"] == "default"
