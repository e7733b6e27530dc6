"""The examples of the guide and of config/README.md work, and the tables of all pages are tables."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.metrics import recall_score

from gensis.evaluation import metrics
from gensis.settings import load_study
from gensis.settings.base import laid_over

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs/guide-experiments.md").read_text()
KEYS = (ROOT / "config/README.md").read_text()


def examples(language: str, page: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


@pytest.mark.parametrize("example", examples("yaml", GUIDE))
def test_a_config_example_is_valid_together_with_the_demo(example: str) -> None:
    study = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    changes = yaml.safe_load(example)
    for section, values in changes.items():
        study[section] = study.get(section, {}) | values
    loaded = load_study(study)
    for section, values in changes.items():
        names = loaded.evaluation.datasets if section == "evaluation" else getattr(loaded, section)
        assert set(values.get("datasets", ()) if section == "evaluation" else values) <= set(names)


@pytest.mark.parametrize("example", examples("yaml", KEYS))
def test_examples_of_keys_are_valid_with_the_data_sets_of_that_page(example: str) -> None:
    study = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    study = laid_over(study, yaml.safe_load(examples("yaml", KEYS)[0]))
    study["evaluation"]["datasets"] = [*study["datasets"]]
    load_study(laid_over(study, yaml.safe_load(example)))


def test_the_first_two_steps_of_the_guide_need_no_diffusion_model() -> None:
    study = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    del study["banks"], study["retraining"]
    for example in examples("yaml", GUIDE.partition("## Will it help")[2])[:2]:
        study = laid_over(study, yaml.safe_load(example))
    assert list(study["retraining"]) == ["dino-twice", "nearest"]
    assert not any(bank.is_generated for bank in load_study(study).banks.values())


def test_every_row_belongs_to_a_table_with_a_header() -> None:
    pages = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for page in pages.split():
        before = ["", ""]
        for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
            is_header = before[-1].startswith("|") and not before[-2].startswith("|")
            assert not is_header or re.fullmatch(r"\|( ?-+ ?\|)+", line), f"{page}:{number}: a table without a header"
            before = [before[-1], line]


def test_every_config_is_named_on_the_page_of_configs() -> None:
    assert [path.name for path in (ROOT / "config").glob("*.yaml") if f"`{path.name}`" not in KEYS] == []


def test_the_metric_example_agrees_with_scikit_learn() -> None:
    (example,) = examples("python", GUIDE)
    namespace = vars(metrics).copy()
    exec(example, namespace)
    generator = np.random.default_rng(0)
    labels, shares = generator.integers(3, size=60), generator.random((60, 3))
    drawn = generator.integers(60, size=60)
    weights = np.stack([np.ones(60), np.bincount(drawn, minlength=60)], axis=1)
    expected = [
        recall_score(labels[rows], shares[rows].argmax(1), average=None).min() for rows in (np.arange(60), drawn)
    ]
    assert namespace["worst_recall"](labels, shares.argmax(1), weights) == pytest.approx(expected)
