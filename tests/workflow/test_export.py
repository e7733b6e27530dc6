"""The target export on a finished run."""

import numpy as np
from tests.workflow.clone import copy_repository, planned, snakemake, write_config
from torchvision.datasets import ImageFolder

from gensis.artifacts.tables import read_table


def test_image_folder_reads_all_selected_images_of_a_split(finished):
    images = finished.clone / "results/images/tissue"
    counts = {split: 0 for split in ("train", "test")}
    for line in read_table(images / "units.tsv"):
        counts[line["split"]] += int(line["images"])
    for split, count in counts.items():
        read = ImageFolder(images / "export/folder" / split)
        assert len(read) == count > 0
        assert read.classes == ["glandular", "lymphoid"]
        assert {np.asarray(image).shape for image, _ in read} == {(32, 32, 3)}


def test_the_sources_of_a_bank_are_images_of_the_exported_data_set(finished):
    exported = (finished.clone / "results/images/tissue/export/folder/train").glob("*.tsv")
    label_of = {line["image"]: line["label"] for table in exported for line in read_table(table)}
    for kind in ("generative", "interpolated"):
        folder = finished.clone / f"results/tiny/bank/default/seed0/export/folder/{kind}"
        lines = read_table(folder / f"{kind}-0000.tsv")
        assert [line["source"] for line in lines] == list(dict.fromkeys(line["source"] for line in lines))
        for line in lines:
            labels = {label_of[name] for name in (line["source"], line["partner"]) if name}
            assert line["label"] == (labels.pop() if len(labels) == 1 else "")
            assert (folder / line["file"]).exists()


def test_a_corrected_label_exports_again_and_another_format_makes_nothing_else(finished, restored, tmp_path):
    targets = ("all", "export")
    assert planned(finished.clone, finished.config, *targets) == {}
    values = finished.values | {"export": finished.values["export"] | {"format": "webdataset"}}
    other = planned(finished.clone, write_config(tmp_path / "tars.yaml", values), *targets)
    assert set(other) - {"export"} == {"export_images", "export_bank"}
    sheet = finished.slides / "slides.csv"
    sheet.write_text(sheet.read_text().replace("lymphoid-1.tiff,lymphoid", "lymphoid-1.tiff,glandular"))
    assert {"export_images", "export_bank"} <= set(planned(finished.clone, finished.config, *targets))


def test_an_export_of_nothing_is_refused(tmp_path):
    result = snakemake(copy_repository(tmp_path / "clone"), None, "export", "-n")
    assert result.returncode != 0
    assert result.stdout.splitlines()[-1].startswith("error: config: export names nothing: add for example export:")
