from pathlib import Path

import pytest
import yaml

from gensis.errors import UserError
from gensis.settings import load_study
from gensis.settings.base import laid_over
from gensis.settings.other_runs import refuse_replaced_images

REPOSITORY = Path(__file__).parents[2]
STUDY = {
    "run": "first",
    "datasets": {
        "slides": {"kind": "slides", "sheet": "s.csv", "quality": {"minimum": {"focus": 3}}},
        "photos": {"kind": "folder", "path": "p"},
        "unused": {"kind": "folder", "path": "q"},
        "listed": {"kind": "files", "sheet": "f.csv"},
    },
    "pretraining": {"dataset": "slides"},
    "evaluation": {"datasets": ["photos", "listed"]},
}


@pytest.fixture
def results(tmp_path):
    """Results of one other run."""
    store(STUDY, tmp_path)
    return tmp_path


def store(values, results):
    folder = results / values["run"]
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(load_study(values).resolved()))


def changed(**datasets):
    return load_study(laid_over(STUDY, {"run": "second", "datasets": datasets}))


@pytest.mark.parametrize(
    ("datasets", "change"),
    [
        ({"slides": {"mpp": 1.0}}, "mpp 0.5, here 1.0"),
        ({"slides": {"drawn_on": "bounds"}}, 'drawn_on "slide", here "bounds"'),
        ({"slides": {"columns": {"mask": "m"}}}, 'columns {}, here {"mask": "m"}'),
        ({"listed": {"sheet": "g.csv"}}, 'sheet "f.csv", here "g.csv"'),
        ({"listed": {"columns": {"split": "fold"}}}, 'columns {}, here {"split": "fold"}'),
        ({"photos": {"max_images": {"train": 9}}}, 'max_images {}, here {"train": 9}'),
        ({"photos": {"path": "elsewhere"}}, 'path "p", here "elsewhere"'),
    ],
)
def test_images_of_another_run_are_not_replaced(results, datasets, change):
    (name,) = datasets
    with pytest.raises(UserError) as error:
        refuse_replaced_images(changed(**datasets), results, with_masks=["slides"])
    assert str(error.value) == (
        f"datasets.{name}: {results}/images/{name} has images of the run first, made with other settings ({change}): "
        f"give this data set another name, or, to give up the images of that run, remove {results}/first/config.yaml"
    )


def test_another_selection_of_the_same_images_is_named(results):
    (line,) = refuse_replaced_images(changed(slides={"sheet": "t.csv"}), results)
    assert 'another selection (sheet "s.csv", here "t.csv")' in line
    (line,) = refuse_replaced_images(changed(slides={"quality": {"minimum": {"focus": 4}}}), results)
    assert '"focus": 4.0' in line
    (line,) = refuse_replaced_images(changed(slides={"columns": {"split": "fold"}}), results)
    assert 'columns {}, here {"split": "fold"}' in line
    (line,) = refuse_replaced_images(changed(listed={"columns": {"label": "name"}}), results)
    assert "another selection" in line
    (line,) = refuse_replaced_images(changed(slides={"drawn_on": "bounds"}), results)  # of annotations alone
    assert "another selection" in line
    assert "exports keep only the images of the last" in line
    (line,) = refuse_replaced_images(changed(slides={"targets": {"grade": "classification"}}), results)
    assert "grade" in line


@pytest.mark.parametrize(
    "datasets",
    [
        {"slides": {"max_failed_slides": 0.1}},
        {"unused": {"path": "elsewhere"}},
        {"more": {"kind": "folder", "path": "r"}},
    ],
)
def test_what_replaces_nothing_is_accepted(results, datasets):
    assert refuse_replaced_images(changed(**datasets), results) == []


def test_a_run_may_change_its_own_data_sets(results):
    study = load_study(laid_over(STUDY, {"datasets": {"slides": {"mpp": 1.0}}}))
    assert refuse_replaced_images(study, results) == []


FOREIGN = [
    "",
    "[1, 2]",
    "run: other",
    "a: [",
    "{run: first, datasets: {slides: {mpp: 3}}}",
    "{run: other, datasets: [slides], pretraining: fast, evaluation: true}",
    "{run: other, datasets: {slides: 3}, pretraining: {dataset: slides}, evaluation: {datasets: [slides]}}",
    "{run: other, datasets: {unused: {columns: [1]}}, pretraining: null, evaluation: {datasets: []}}",
    "{run: other, datasets: {}, pretraining: {dataset: slides}, evaluation: {datasets: [slides]}}",
]


@pytest.mark.parametrize("text", FOREIGN)
def test_files_of_others_are_skipped(tmp_path, text):
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "config.yaml").write_text(text)
    assert refuse_replaced_images(load_study(STUDY), tmp_path) == []


def test_a_run_of_an_older_version_is_compared_in_the_keys_that_both_know(results):
    path = results / "first" / "config.yaml"
    values = yaml.safe_load(path.read_text())
    del values["datasets"]["slides"]["resample"]
    values["datasets"]["slides"]["removed_key"] = 1
    path.write_text(yaml.safe_dump(values))
    assert refuse_replaced_images(changed(), results) == []


def test_studies_of_this_repository_replace_no_images_of_each_other(tmp_path, monkeypatch):
    monkeypatch.setenv("GENSIS_DATA", "data")
    files = [[path] for path in REPOSITORY.glob("config/*.yaml")]
    files += [[path.parent.with_suffix(".yaml"), path] for path in REPOSITORY.glob("config/*-claim/*.yaml")]
    studies = {}
    for paths in files:
        values = {}
        for path in paths:
            values = laid_over(values, yaml.safe_load(path.read_text()) or {})
        studies[values.get("run")] = values
    assert len(studies) > 20
    for values in studies.values():
        store(values, tmp_path)
    for values in studies.values():
        assert refuse_replaced_images(load_study(values), tmp_path) == []
