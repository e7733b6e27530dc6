"""The bank quality section of the report."""

import re
import shutil
from pathlib import Path

import pytest
from tests.figures import tiny

from gensis.artifacts.files import read_json, write_json
from gensis.evaluation import bank_metrics as measured
from gensis.figures.bank_quality import ENOUGH, MEANINGS, bank_quality, warnings
from gensis.figures.page import page
from gensis.figures.run import Run


def write_quality(results: Path, ratio: float | None) -> Run:
    figures = [measured.figure(name, 0.5, 0.25, 0.75, n=100) for name in MEANINGS]
    figures[0] |= {"error": 0.0123}
    figures[-1] |= {"low": 0.45, "high": 0.55}
    quality = {"sources": 100, "figures": figures, "skipped": {"held-out images": "there is no <test> split"}}
    quality["along_alpha"] = [
        {"alpha": alpha, "n": 50, "source": alpha, "partner": 1 - alpha, "both_sources_top2": 0.1}
        for alpha in (0.5, 1.0)
    ]
    if ratio is not None:
        values = {"generated": ratio / 2, "real": 0.5, "views": 0.47, "ratio": ratio}
        quality["class_consistency"] = {"chance": 0.1, "n": 100} | {
            name: {"value": value, "low": value - 0.04, "high": value + 0.04} for name, value in values.items()
        }
    write_json(results / "tiny/bank/default/seed0/quality.json", quality)
    return Run(results / "tiny", results / "images")


def test_table_has_value_floor_ceiling_and_meaning_of_each_metric(results: Path) -> None:
    html = bank_quality(write_quality(results, 0.95))
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", html)
    assert len(rows) == len(MEANINGS)
    assert "0.500<small>± 0.012</small></td><td>0.250</td><td>0.750</td><td>100</td>" in rows[0]
    assert "0.500<small>0.450 to 0.550</small></td>" in rows[-1]
    assert "100 sources" in html
    assert "held-out images: there is no &lt;test&gt; split" in html


def test_number_of_filtered_images_is_reported(results: Path) -> None:
    write_quality(results, 0.95)
    path = results / "tiny/bank/default/seed0/quality.json"
    counts = {"generated": 2000, "unfaithful": 30, "copies": 5, "kept": 1966, "sources_without": 12}
    write_json(path, read_json(path) | {"filter": {"generative": counts}})
    html = bank_quality(Run(results / "tiny", results / "images"))
    assert "leaves out 34 of 2,000 generative images: 30 have a low fidelity" in html
    assert "12 sources have no such image left" in html


def test_a_bank_of_real_images_is_called_a_control_and_advised_as_one(results: Path) -> None:
    arm = {"bank": "default", "disentangle_weight": 0}
    tiny.write_config(results / "tiny", banks={"default": {"kind": "neighbours"}}, retraining={"gen-dino": arm})
    run = write_quality(results, 0.5)
    control, judged = bank_quality(run).split("</p>")[:2]
    assert "generated" not in judged
    assert warnings(run) == ""  # it is meant to be as it is
    assert "bank default has the nearest other training images of each source" in control
    assert "take fewer variants" in judged
    assert "diffusion model" not in judged


@pytest.mark.parametrize(
    ("ratio", "harms"), [(ENOUGH - 0.05, True), (ENOUGH - 0.01, True), (ENOUGH, False), (1.0, False)]
)
def test_low_class_consistency_is_a_warning_above_the_answer(results: Path, ratio: float, harms: bool) -> None:
    run = write_quality(results, ratio)
    assert ("<b>may harm</b>" in bank_quality(run).partition("</p>")[0]) is harms
    assert bool(warnings(run)) is harms
    assert f"{ratio:.2f}</b> [{ratio - 0.04:.2f}, {ratio + 0.04:.2f}]" in bank_quality(run)
    answer = page(run).partition("<h2>Answer</h2>")[2]
    assert answer.strip().startswith("<p><b>Bank default, seed 0</b> <b>") is harms


def test_images_that_keep_the_class_as_often_as_augmented_views_are_no_reason_to_warn(results: Path) -> None:
    write_quality(results, 0.8)
    path = results / "tiny/bank/default/seed0/quality.json"
    quality = read_json(path)
    quality["class_consistency"]["views"]["value"] = quality["class_consistency"]["generated"]["value"]
    write_json(path, quality)
    run = Run(results / "tiny", results / "images")
    assert warnings(run) == ""
    assert "may harm" not in bank_quality(run)


@pytest.mark.parametrize("ratio", [0.5, 0.95])
def test_class_consistency_is_not_judged_if_real_images_are_near_chance(results: Path, ratio: float) -> None:
    write_quality(results, ratio)
    path = results / "tiny/bank/default/seed0/quality.json"
    quality = read_json(path)
    quality["class_consistency"]["real"]["low"] = quality["class_consistency"]["chance"]
    write_json(path, quality)
    run = Run(results / "tiny", results / "images")
    html = bank_quality(run)
    assert warnings(run) == ""
    assert "This says little" in html
    assert "may harm" not in html


def test_banks_of_several_seeds_share_one_warning(results: Path) -> None:
    write_quality(results, 0.5)
    other = results / "tiny/bank/default/seed1"
    shutil.copytree(results / "tiny/bank/default/seed0", other)
    write_json(
        other / "quality.json", {"class_consistency": write_quality(results, 0.7).banks[0].quality["class_consistency"]}
    )
    write_quality(results, 0.5)
    tiny.write_config(results / "tiny", seeds=[0, 1])
    html = warnings(Run(results / "tiny", results / "images"))
    assert html.count("<p>") == 1
    assert html.startswith("<p><b>Bank default, seed 0</b> <b>may harm</b>")
    assert "The same holds for its other seeds (seed 1: 0.70)." in html


def test_charts_show_cosines_along_alpha_and_class_consistency(results: Path) -> None:
    html = bank_quality(write_quality(results, 0.8))
    assert html.count("<polyline") >= 2
    assert "cosine to the source" in html
    assert "cosine to the partner" in html
    for kind, value in {"real images": "0.500", "augmented views": "0.470", "generated images": "0.400"}.items():
        assert f'<span class="number">{value}</span>' in html.partition(f"<dt>{kind}</dt>")[2].partition("</dd>")[0]
    assert "50.0% for real images and 47.0% for augmented views of these (chance 10.0%)" in html


def test_advice_is_given_with_the_warning_that_it_uses_labels(results: Path) -> None:
    harms, keeps = (bank_quality(write_quality(results, ratio)) for ratio in (ENOUGH - 0.05, ENOUGH))
    advice = "raise guidance. Class consistency uses the labels of training images"
    assert advice in harms
    assert advice in warnings(write_quality(results, ENOUGH - 0.05))
    assert "raise guidance" not in keeps


def test_quality_without_views_is_shown_without_them(results: Path) -> None:
    write_quality(results, 0.8)
    path = results / "tiny/bank/default/seed0/quality.json"
    quality = read_json(path)
    del quality["class_consistency"]["views"]
    for metric in quality["figures"]:
        del metric["low"], metric["high"]
    write_json(path, quality)
    html = bank_quality(Run(results / "tiny", results / "images"))
    assert "50.0% for real images (chance 10.0%)" in html
    assert "augmented views</dt>" not in html


def test_class_consistency_without_labels_is_not_known(results: Path) -> None:
    run = write_quality(results, None)
    assert "is not known" in bank_quality(run)
    assert warnings(run) == ""


def test_bank_without_quality_has_no_section(run: Run) -> None:
    assert bank_quality(run) == ""
    assert "Is the bank good enough" not in page(run)
