"""docs/scaling.md holds the plans of four studies. Write them again:

PYTHONPATH=workflow/scripts python tests/planning/test_scaling.py
"""

from pathlib import Path

import yaml

from gensis.planning.images import ImageSet
from gensis.planning.rates import read_rates
from gensis.planning.table import cells, rows
from gensis.planning.works import works
from gensis.settings.study import Study, load_study

ROOT = Path(__file__).parents[2]
DOC = ROOT / "docs" / "scaling.md"
RATES = read_rates(ROOT / "resources" / "rates" / "h100-16-cores.yaml")
TISSUE_BYTES = 0.43 * 256**2  # JPEG of quality 90, TCGA-CR-7395
RECIPE = {
    "pretraining": {"preset": "paper", "gradient_accumulation": "auto"},
    "diffusion": {"steps": 200_000, "batch_size": 256, "precision": "bfloat16"},
    "autoencoder_training": {"precision": "bfloat16"},
    "banks": {
        "default": {"sampler": "dpm++", "sampling_steps": 12, "guidance": 1.5, "precision": "bfloat16", "shards": 64}
    },
    "retraining": {"gen-dino": {"bank": "default"}},
    "embedding": {"precision": "bfloat16"},
}


def recipe(name: str, dataset: dict, evaluation: dict, **pretraining: object) -> Study:
    """The published recipe of ViT-S/16 on a data set, for one seed."""
    values = RECIPE | {"run": name, "datasets": {name: dataset}, "evaluation": {"datasets": [name]} | evaluation}
    return load_study(values | {"pretraining": RECIPE["pretraining"] | {"dataset": name} | pretraining})


def slides(name: str, mpp: float, **pretraining: object) -> Study:
    dataset = {"kind": "slides", "sheet": "slides.csv", "tile_px": 256, "mpp": mpp}
    return recipe(
        name, dataset, {"knn": [], "linear": False, "slides": ["mean"]}, views={"rotate": True}, **pretraining
    )


CIFAR10 = load_study(yaml.safe_load((ROOT / "config" / "cifar10.yaml").read_text()) | {"seeds": [0]})
IMAGENET = recipe("imagenet", {"kind": "folder", "path": "imagenet", "image_px": 256, "shards": 64}, {"knn": [20]})
STUDIES = {
    "CIFAR-10": (CIFAR10, ImageSet(units=2, train=50_000, test=10_000, image_px=32, bytes_per_image=2100)),
    "ImageNet-1k": (IMAGENET, ImageSet(units=128, train=1_281_167, test=50_000, image_px=256, bytes_per_image=40_000)),
    "PANDA": (
        slides("panda", 1.0),
        ImageSet(units=10_616, train=2_100_000, image_px=256, bytes_per_image=TISSUE_BYTES),
    ),
    "TCGA": (
        slides("tcga", 0.5, epochs=10),
        ImageSet(units=10_000, train=100_000_000, image_px=256, bytes_per_image=TISSUE_BYTES),
    ),
}


def tables() -> str:
    """The plans as Markdown."""
    return "\n\n".join(table(title, *study) for title, study in STUDIES.items())


def table(title: str, study: Study, images: ImageSet) -> str:
    """The plan of a study on one and on four GPUs."""
    (dataset,) = study.used_datasets
    plans = [rows(works(study, {dataset: images}, gpus), RATES, gpus) for gpus in (1, 4)]
    of_one, of_four = (cells(plan) for plan in plans)
    header = ["stage", "images", "passes", "time, 1 GPU", "4 GPUs", "disk", "memory, 1 GPU", "4 GPUs", "rate"]
    lines = [header, ["---"] * len(header)]
    for one, four, source in zip(of_one, of_four, [*("; ".join(row.sources) for row in plans[0]), ""]):
        stage, images, passes, seconds, _, disk, needed, _ = one
        lines.append([stage, images, passes, seconds, four[3], disk, needed, four[6], source])
    return "\n".join([f"### {title}", "", *(f"| {' | '.join(line)} |" for line in lines)])


def written(text: str) -> str:
    """The page with tables that are computed again."""
    before, _, rest = text.partition("<!-- tables -->\n")
    return f"{before}<!-- tables -->\n{tables()}\n<!-- end -->{rest.partition('<!-- end -->')[2]}"


def test_the_page_has_the_plans_of_its_studies():
    text = DOC.read_text()
    assert text == written(text), "write it again, as the docstring of this file says"


if __name__ == "__main__":
    DOC.write_text(written(DOC.read_text()))
