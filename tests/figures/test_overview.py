"""What was run, and with what."""

from gensis.figures.origins import origins
from gensis.figures.overview import overview
from gensis.figures.run import Run


def test_counts_are_those_of_the_files(run: Run) -> None:
    html = overview(run)
    assert "5 images in train" in html
    assert "default: 10 generative, 10 interpolated" in html
    assert "1 ok, 1 partial, 1 no_tissue" in html
    assert "gen-dino: 20 steps" in html


def test_configuration_versions_and_commit_are_there(run: Run) -> None:
    html = origins(run)
    assert "abc123" in html
    assert '<th scope="row">torch</th><td>2.0</td>' in html
    assert "variants: 2" in html
