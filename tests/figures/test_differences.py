"""Differences between encoders, in forest plots and in a table."""

import re
from pathlib import Path

import pytest
from tests.figures import tiny

from gensis.artifacts.files import write_json
from gensis.figures.differences import differences
from gensis.figures.forest import MARGIN, WIDTH, Row, forest
from gensis.figures.run import Run

NAN = float("nan")
ARMS = (("gen-dino", "dino"), ("plain-bank", "dino"), ("gen-dino", "plain-bank"))


def places(svg: str, kind: str) -> list[float]:
    return [float(x) for x in re.findall(rf'<circle class="{kind}" cx="([^"]*)"', svg)]


def test_larger_differences_lie_further_right_on_one_scale() -> None:
    html = forest(
        [
            Row("a", difference=-0.1, low=NAN, high=NAN, by_seed=[], sure=False),
            Row("b", difference=0.1, low=0.0, high=0.3, by_seed=[0.05, 0.15], sure=False),
        ]
    )
    first, second = places(html, "mean")
    zero = float(re.search(r'class="zero" d="M([\d.]+)', html)[1])
    assert zero == pytest.approx((first + second) / 2)
    low, high = map(float, re.search(r'class="interval" d="M([\d.]+) [\d.]+H([\d.]+)"', html).groups())
    assert (low, high) == (zero, WIDTH - MARGIN)
    assert sum(places(html, "seed")) / 2 == pytest.approx(second)


def test_differences_with_evidence_have_a_filled_circle() -> None:
    assert len(places(forest([Row("a", difference=0.1, low=0.05, high=0.15, by_seed=[], sure=True)]), "mean sure")) == 1


def test_zero_difference_can_be_drawn() -> None:
    assert "nan" not in forest([Row("a", difference=0.0, low=NAN, high=NAN, by_seed=[0.0], sure=False)])


def test_each_pair_has_a_row_with_difference_and_class_consistency(results: Path) -> None:
    consistency = {"ratio": {"value": 0.87, "low": None, "high": None}}
    write_json(results / "tiny/bank/default/seed0/quality.json", {"class_consistency": consistency})
    html = differences(Run(results / "tiny", results / "images"))
    rows = dict(re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', html))
    minus = "\N{MINUS SIGN}"
    assert list(rows) == [
        f"{ours} {minus} {theirs}" for ours, theirs in (*ARMS, ("random", "dino"), ("pixels", "dino"))
    ]
    assert "<td>+0.030<small>1 seed</small></td>" in rows[f"gen-dino {minus} dino"]
    assert [row.endswith("<td>0.87</td>") for row in rows.values()] == [True, True, True, False, False]


def test_an_external_encoder_is_compared_with_the_baseline_and_the_main_arm(results: Path) -> None:
    tiny.write_config(results / "tiny", encoders={"uni": {"path": str(results)}})
    tiny.write_scores(results / "tiny", tiny.VALUES | {"uni": 0.7})
    html = differences(Run(results / "tiny", results / "images"))
    rows = dict(re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', html))
    minus = "\N{MINUS SIGN}"
    assert "<td>+0.090" in rows[f"uni {minus} dino"]
    assert "<td>-0.060" in rows[f"gen-dino {minus} uni"]
    assert f"plain-bank {minus} uni" not in rows


def test_several_seeds_get_an_interval_and_six_a_test(results: Path) -> None:
    tiny.write_scores(results / "tiny", seeds=tuple(range(6)))
    html = differences(Run(results / "tiny", results / "images"))
    assert "<small>+0.030 to +0.030</small><small>p = 0.031</small>" in html
    assert html.count('<circle class="seed"') == 2 * len(ARMS) * 6


def test_run_without_pairs_has_no_section(results: Path) -> None:
    (results / "tiny/comparisons.csv").unlink()
    assert differences(Run(results / "tiny", results / "images")) == ""
