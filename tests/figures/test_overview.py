"""Overview of the run, configuration and versions."""

from pathlib import Path

from tests.figures import tiny

from gensis.figures.origins import origins
from gensis.figures.overview import overview
from gensis.figures.run import Run


def test_counts_equal_those_of_the_files(run: Run) -> None:
    html = overview(run)
    assert "5 training images" in html
    assert "default: 10 generative, 10 interpolated" in html
    assert "1 ok, 1 partial, 1 no_tissue" in html
    assert "<b>DINO encoder</b><span>20 steps</span>" in html
    assert "gen-dino: 20 steps" in html


def test_a_bank_that_all_seeds_share_is_reported(results: Path) -> None:
    shared = {"default": tiny.CONFIG["banks"]["default"] | {"seed": 1}}
    tiny.write_config(results / "tiny", seeds=[0, 1], banks=shared)
    assert "all seeds share one bank (default: seed 1)" in overview(Run(results / "tiny", results / "images"))


def test_configuration_versions_and_commit_are_shown(run: Run) -> None:
    html = origins(run)
    assert "abc123" in html
    assert '<th scope="row">torch</th><td>2.0</td>' in html
    assert "variants: 2" in html
