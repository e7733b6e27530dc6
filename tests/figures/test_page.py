"""The whole report."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.figures import tiny

from gensis.errors import UserError
from gensis.figures.page import PAPER, page
from gensis.figures.run import Run

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/write_report.py"
HEADINGS = ["Answer", "All encoders", "Differences between encoders", "Overview of the run"]
HEADINGS += ["The bank: sources and generated images", "Interpolations", "Training curves", "Slides and tiles"]
HEADINGS += ["Configuration and versions"]


def headings(html: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", html)


def test_sections_come_in_order(run: Run) -> None:
    assert headings(page(run)) == HEADINGS


def test_page_loads_no_external_resource(run: Run) -> None:
    html = page(run)
    assert re.findall(r"https?://[^\"' <]*", html) == [PAPER]
    assert f'<a href="{PAPER}">' in html
    sources = re.findall(r"(?:src|href|xlink:href)=[\"']?([^\"' >]*)", html)
    assert all(source.startswith("data:") for source in sources if source != PAPER)
    assert not re.search(r"<(script|link|iframe|object|embed)\b|@import|url\((?!'data:)", html)


def test_page_is_deterministic(results: Path) -> None:
    first, second = (page(Run(results / "tiny", results / "images"), threads) for threads in (1, 4))
    assert first == second


@pytest.mark.parametrize(
    "missing",
    ["tiny/evaluation", "tiny/encoders", "tiny/diffusion", "tiny/bank", "images/tissue/train.tsv", "images"],
)
def test_page_is_made_without_optional_results(results: Path, missing: str) -> None:
    path = results / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "Answer" in headings(page(Run(results / "tiny", results / "images")))


def test_page_needs_only_config_and_summary(results: Path) -> None:
    for name in ("evaluation", "encoders", "diffusion", "bank"):
        shutil.rmtree(results / "tiny" / name)
    shutil.rmtree(results / "images")
    assert headings(page(Run(results / "tiny", results / "images"))) == [
        "Answer",
        "All encoders",
        "Differences between encoders",
        "Overview of the run",
        "Configuration and versions",
    ]


def test_empty_summary_is_reported(results: Path) -> None:
    tiny.write_scores(results / "tiny", {}, seeds=())
    assert "Nothing was measured" in page(Run(results / "tiny", results / "images"))


@pytest.mark.parametrize("name", ["summary.csv", "config.yaml"])
def test_unfinished_run_is_rejected(results: Path, name: str) -> None:
    (results / "tiny" / name).unlink()
    with pytest.raises(UserError, match=rf"{name} does not exist: give the folder of a finished run"):
        Run(results / "tiny", results / "images")


def report_of(results: Path, first: str, longer: str, control: str, reduced: str) -> str:
    """The report of the tiny run with an arm of each kind, under these names."""
    arms = {first: {"bank": "default"}, longer: {"match_compute": first}}
    arms |= {control: {"bank": "default", "shuffle_bank": True}, reduced: {"bank": "default", "disentangle_weight": 0}}
    folder = results / "tiny"
    for name in ("encoders", "evaluation"):
        shutil.rmtree(folder / name)
    tiny.write_config(folder, retraining=arms)
    tiny.write_scores(folder, {"dino": 0.61, "random": 0.6, "pixels": 0.4, **dict.fromkeys(arms, 0.62)})
    for name in ("dino", *arms):
        tiny.write_training(folder / f"encoders/{name}/seed0", ("loss", "dino"), [(10, 5.1, 5.1), (20, 4.2, 4.2)])
    return page(Run(folder, results / "images"))


def test_report_of_arms_depends_on_their_keys_not_on_their_names(results: Path) -> None:
    misleading = ("gen-dino-shuffled", "gen-dino", "dino-longer", "gen-dino-no-bank")
    named = report_of(results, *misleading)
    for name, letter in sorted(zip(misleading, "abcd"), reverse=True):  # a name before its prefix
        named = named.replace(name, letter)
    assert named == report_of(results, *"abcd")
    for sentence in (
        " a: retrained with the bank default.",
        " b: trained without a bank, with the compute of a.",
        " c: retrained with the bank default, shuffled as a negative control.",
        " d: retrained with the bank default, without disentanglement.",
        "Does a beat dino on",
    ):
        assert sentence in named


def test_text_from_files_is_escaped(results: Path) -> None:
    tiny.write_scores(results / "tiny", {"dino": 0.5, "<script>alert(1)</script>": 0.6})
    html = page(Run(results / "tiny", results / "images"))
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "tissue is 0.0% &lt;of&gt; the slide &amp; covers no tile" in html


def test_script_writes_the_page_without_importing_torch(results: Path) -> None:
    output = results / "tiny/report.html"
    arguments = ["--run-folder", results / "tiny", "--images-folder", results / "images", "--output", output]
    arguments += ["--costs", results / "tiny/costs.csv"]
    check = (
        "import runpy, sys; sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__'); assert 'torch' not in sys.modules"
    )
    environment = {"PYTHONPATH": str(SCRIPT.parent)}
    subprocess.run([sys.executable, "-c", check, SCRIPT, *arguments, "--threads", "1"], check=True, env=environment)
    assert output.read_text(encoding="utf-8").startswith("<!doctype html>")
