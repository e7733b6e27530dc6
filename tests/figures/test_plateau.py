"""What plain training gains from more compute, and the warning where it gains much."""

import re
from pathlib import Path

import pytest
from tests.figures import tiny

from gensis.figures.page import page
from gensis.figures.plateau import longer_arms, plateau, warning
from gensis.figures.run import Run

BANK = {"bank": "default"}


def run_with(results: Path, arms: dict[str, dict], gains: dict[str, float], seeds: tuple[int, ...] = (0, 1)) -> Run:
    """A run whose baseline trains 100 epochs, with arms that gain so much."""
    tiny.write_config(results / "tiny", retraining={"gen-dino": BANK} | arms, seeds=list(seeds))
    values = tiny.VALUES | {name: 0.61 + gain for name, gain in gains.items()}
    tiny.write_scores(results / "tiny", values, seeds)
    return Run(results / "tiny", results / "images")


@pytest.mark.parametrize(
    ("arm", "multiple"),
    [
        ({"epochs": 200}, 2),
        ({"epochs": 150}, 1.5),
        ({"match_compute": "gen-dino"}, pytest.approx(1.375, abs=0.05)),
        ({"epochs": 50}, None),
        ({"epochs": 200, "drop_path": 0}, None),
        ({"epochs": 200} | BANK, None),
        ({"epochs": 60, "init": "dino"}, 1.6),
    ],
)
def test_arms_that_only_train_longer_are_found_with_their_compute(results: Path, arm: dict, multiple: float) -> None:
    run = run_with(results, {"longer": arm}, {"longer": 0.0})
    assert longer_arms(run).get("longer") == multiple


@pytest.mark.parametrize(
    ("epochs", "gain", "warns"),
    [
        (200, 0.03, True),
        (200, 0.005, False),
        (150, 0.02, True),
        (250, 0.02, True),
        (140, 0.03, False),
        (400, 0.03, False),
    ],
)
def test_a_gain_of_more_than_a_point_from_about_twice_the_compute_is_a_warning(
    results: Path, epochs: int, gain: float, warns: bool
) -> None:
    run = run_with(results, {"longer": {"epochs": epochs}}, {"longer": gain})
    assert ("banks cannot be judged at this length" in warning(run)) is warns
    assert ("banks cannot be judged at this length" in plateau(run)) is warns
    html = page(run)
    for title in ("Answer", "Differences between encoders"):
        assert ("has not reached its plateau" in html.partition(f"<h2>{title}")[2].partition("<h2>")[0]) is warns


def test_the_table_has_multiple_and_gain_with_interval_over_seeds(results: Path) -> None:
    arms = {"twice": {"epochs": 200}, "four": {"epochs": 400}}
    html = plateau(run_with(results, arms, {"twice": 0.03, "four": 0.05}))
    rows = dict(re.findall(r'<tr><th scope="row">(\w+)</th>(.*?)</tr>', html))
    assert list(rows) == ["twice", "four"]
    assert rows["twice"].startswith("<td>2</td><td>+0.030<small>+0.030 to +0.030</small></td>")
    assert rows["four"].startswith("<td>4</td><td>+0.050<small>")
    assert "twice, with 2 times the compute, gains 3.0 points (95 % interval +3.0 to +3.0) on tissue" in html


def test_one_seed_has_no_interval(results: Path) -> None:
    html = plateau(run_with(results, {"twice": {"epochs": 200}}, {"twice": 0.03}, seeds=(0,)))
    assert "gains 3.0 points on tissue" in html
    assert "nan" not in html


def test_a_study_without_an_arm_of_about_twice_the_compute_does_not_know(results: Path) -> None:
    html = plateau(run_with(results, {"four": {"epochs": 400}}, {"four": 0.05}))
    assert "not known whether it has reached its plateau" in html
    near = plateau(run_with(results, {"twice": {"epochs": 200}}, {"twice": 0.005}))
    assert "is near its plateau" in near


def test_a_run_without_longer_arms_has_no_section(run: Run) -> None:
    assert plateau(run) == warning(run) == ""
