"""Overlays of slides in the report."""

from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from tests.figures import tiny

from gensis.figures.run import Run
from gensis.figures.slides import MAX_DRAWN, slides


def test_slides_without_tiles_are_listed_with_their_reason(run: Run) -> None:
    html = slides(run, threads=1)
    assert "1 slide of tissue without tiles" in html
    assert "<td>no_tissue</td>" in html
    assert "slide-a</b><br>ok, 3 tiles" in html
    assert "slide-b</b><br>partial, 2 tiles" in html


def test_legend_has_only_the_statuses_that_are_drawn(results: Path) -> None:
    path = results / "images/tissue/slide-a.h5"
    tiny.write_slide(path, [(0, 0)], [tiny.flat((0, 0, 0))], rejected={(512, 0): "pen"}, focus=[1.0])
    quality = {"datasets": {"tissue": tiny.CONFIG["datasets"]["tissue"] | {"quality": {"minimum": {"focus": 2}}}}}
    tiny.write_config(results / "tiny", **quality)
    html = slides(Run(results / "tiny", results / "images"), threads=1)
    legend = html.split('<ul class="legend">')[1].split("</ul>")[0]
    assert [word for word in ("kept", "low quality", "pen", "not chosen", "little tissue") if word in legend] == [
        "low quality",
        "pen",
    ]


def test_missing_thumbnail_is_reported(results: Path, run: Run) -> None:
    with h5py.File(results / "images/tissue/slide-a.h5", "r+") as file:
        del file["thumbnail"]
    html = slides(run, threads=1)
    assert "no thumbnail" in html
    assert html.count("<img") == 1


def test_many_slides_stay_within_five_megabytes(results: Path, run: Run) -> None:
    folder = results / "images/tissue"
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1500, 3), np.uint8)
    names = [f"slide-{number:02}" for number in range(30)]
    for name in names:
        tiny.write_slide(folder / f"{name}.h5", [(0, 0)], [tiny.flat((0, 0, 0))], Image.fromarray(noise))
    rows = [(name, "ok", 1, 0, "") for name in names]
    tiny.write_table(folder / "outcomes.tsv", ("unit", "outcome", "images", "failed", "reason"), rows)
    html = slides(run, threads=2)
    assert html.count("<img") == MAX_DRAWN
    assert "30 slides with tiles; 24 are shown, 6 are not." in html
    assert len(html) < 5e6
