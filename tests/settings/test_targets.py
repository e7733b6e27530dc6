"""Targets: further columns of a sheet of slides, each predicted by tasks of its own."""

from pathlib import Path

import pytest

from gensis.artifacts.tables import read_table
from gensis.errors import UserError
from gensis.evaluation.labelled import lines_about
from gensis.images.dataset_tables import write_targets
from gensis.settings import load_study, stage_json
from gensis.settings.datasets import SlidesDataset
from gensis.settings.evaluation import Evaluation
from gensis.settings.tasks import find_task, variant
from gensis.settings.units import Units, list_units

TARGETS = {"grade": "classification", "os_months": {"survival": {"event": "os_event"}}, "age": "regression"}
HEADER = "slide,path,grade,os_months,os_event,Age at diagnosis\n"
LINES = "one,a.tiff,high,31.5,1,61\ntwo,b.tiff,low,12,0,\nthree,c.tiff,,12,,48.5\n"


def dataset(folder: Path, **changes: object) -> SlidesDataset:
    given = {"kind": "slides", "sheet": str(folder / "slides.csv"), "targets": TARGETS}
    return SlidesDataset.model_validate(given | {"columns": {"age": "Age at diagnosis"}} | changes)


def listed(folder: Path, text: str, **changes: object) -> Units:
    sheet = folder / "slides.csv"
    sheet.write_text(text)
    for name in "abc":
        (folder / f"{name}.tiff").touch()
    return list_units(dataset(folder, **changes), sheet)


def test_each_slide_has_a_label_for_each_target_and_censored_times_have_a_plus(tmp_path):
    one, two, three = listed(tmp_path, HEADER + LINES).rows
    assert one.targets == {"grade": "high", "os_months": "31.5", "age": "61"}
    assert two.targets == {"grade": "low", "os_months": "12+", "age": ""}
    assert three.targets == {"grade": "", "os_months": "", "age": "48.5"}


def test_the_table_of_targets_gives_each_task_its_own_lines(tmp_path):
    units = listed(tmp_path, HEADER + LINES)
    write_targets(tmp_path / "targets.tsv", dataset(tmp_path), units)
    table = read_table(tmp_path / "targets.tsv")

    def labels(task: str) -> dict[str, str]:
        return {row["unit"]: row["label"] for row in lines_about(task, [], table)}

    assert labels("slides-mean-grade") == {"one": "high", "two": "low"}
    assert labels("survival-abmil-os_months") == {"one": "31.5", "two": "12+"}
    assert labels("regression-mean-age") == {"one": "61", "three": "48.5"}
    assert labels("regression-mean-grade") == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("one,a.tiff,x,soon,1,61", "line 2: os_months 'soon' is not a number: write one"),
        ("one,a.tiff,x,-1,1,61", "line 2: os_months '-1' is negative"),
        ("one,a.tiff,x,12,dead,61", "line 2: os_event 'dead' is not 0 or 1"),
        ('one,a.tiff,x,12,1,"6,1"', "line 2: age '6,1' is not a number"),
        ("one,a.tiff,x,12,1,nan", "line 2: age 'nan' is not a number"),
    ],
)
def test_a_value_that_is_not_clear_is_refused_with_its_line(tmp_path, line, message):
    with pytest.raises(UserError, match=message):
        listed(tmp_path, HEADER + line)


def test_a_target_without_its_column_is_refused(tmp_path):
    with pytest.raises(UserError, match="has no column 'os_event'"):
        listed(tmp_path, "slide,path,grade,os_months,Age at diagnosis\none,a.tiff,x,12,61\n")


def test_a_standard_column_is_no_target():
    study = {"run": "r", "datasets": {"tiles": {"kind": "slides", "sheet": "s", "targets": {"group": "regression"}}}}
    with pytest.raises(UserError, match="'group' is a standard column"):
        load_study(study)


def test_targets_change_the_tasks_and_nothing_that_is_made_from_images():
    def study(targets: dict) -> dict:
        tiles = {"kind": "slides", "sheet": "slides.csv"} | ({"targets": targets} if targets else {})
        return {
            "run": "r",
            "datasets": {"tiles": tiles},
            "pretraining": {"dataset": "tiles"},
            "evaluation": {"datasets": ["tiles"], "slides": ["mean", "abmil", "dsmil"]},
        }

    with_targets, without = load_study(study(TARGETS)), load_study(study({}))
    assert without.slide_tasks == ("slides-mean", "slides-abmil", "slides-dsmil")
    assert with_targets.slide_tasks == (
        *without.slide_tasks,
        *("slides-mean-grade", "slides-abmil-grade", "slides-dsmil-grade"),
        *("survival-mean-os_months", "survival-abmil-os_months", "regression-mean-age", "regression-abmil-age"),
    )
    for stage in ("datasets/tiles", "quality/tiles", "encoders/dino", "embedding/dino", "evaluation"):
        assert stage_json(with_targets, stage) == stage_json(without, stage), stage


def test_the_name_of_a_task_has_its_target():
    assert find_task("survival-mean-os_months").target == "survival"
    assert variant("survival-mean-os_months") == "os_months"
    assert (variant("linear-10pct"), variant("linear")) == ("10", "")
    assert Evaluation(slides=()).target_tasks({"age": "regression"}) == ()
