"""The overlay of a slide, the contact sheet of all, and the script that draws both."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.figures import tiny

from gensis.artifacts.files import write_json
from gensis.artifacts.tables import write_table
from gensis.figures import contact_sheet as sheets
from gensis.figures.contact_sheet import cell_size, contact_sheet, shown
from gensis.figures.lettering import font, shortened, wrapped
from gensis.figures.slide_picture import LONG_SIDE_PX, MARGIN_PX, SlideStatus, round_length, slide_picture
from gensis.figures.slide_view import read_slide

SCRIPT = Path(__file__).parents[2] / "workflow/scripts/plot_slides.py"


def test_a_slide_fills_its_picture(tmp_path: Path) -> None:
    thumbnail = Image.new("RGB", (800, 600), "white")
    tiny.write_slide(tmp_path / "slide.h5", [(0, 0)], [tiny.flat((0, 0, 0))], thumbnail)
    picture = slide_picture(read_slide(tmp_path / "slide.h5"), SlideStatus("slide", "ok", 1))
    assert picture.width == LONG_SIDE_PX + 2 * MARGIN_PX
    assert 1200 < picture.height < 1600


def test_a_slide_without_a_thumbnail_shows_outcome_and_reason() -> None:
    plain = slide_picture(None, SlideStatus("slide", "missing_mpp", 0))
    explained = slide_picture(None, SlideStatus("slide", "missing_mpp", 0, "add the column mpp " * 30))
    assert explained.height > plain.height
    assert np.asarray(plain).std() > 0


@pytest.mark.parametrize(("most", "length"), [(1.0, 1), (1.99, 1), (2.0, 2), (49, 20), (730, 500), (12_000, 10_000)])
def test_scale_bars_have_round_lengths(most: float, length: float) -> None:
    assert round_length(most) == length


def test_text_fits_its_width() -> None:
    name = "a-very-long-slide-name-that-ends-in-its-number-0042"
    short = shortened(name, 20, 200)
    assert font(20).getlength(short) <= 200
    assert short.startswith("a-very")
    assert short.endswith("0042")
    lines = wrapped("every word of a long reason is there, " * 5, 20, 300)
    assert all(font(20).getlength(line) <= 300 for line in lines)
    assert " ".join(lines) == ("every word of a long reason is there, " * 5).strip()


def test_sheet_shows_all_of_few_slides() -> None:
    assert shown([SlideStatus(str(i), "ok", 1) for i in range(7)]) == list(range(7))


@pytest.mark.parametrize("empty", [0, 3, 700, 1999, 2000])
def test_sheet_of_many_slides_is_limited_and_shows_those_without_tiles(empty: int) -> None:
    slides = [SlideStatus(str(i), "no_tissue" if i < empty else "ok", 0 if i < empty else 5) for i in range(2000)]
    positions = shown(slides)
    assert positions == sorted(set(positions))
    assert len(positions) == sheets.MAX_SLIDES
    assert sum(position < empty for position in positions) >= min(empty, sheets.MAX_SLIDES // 2)
    width, height = cell_size(len(positions))
    assert len(positions) * width * height * 2 < 50e6


def test_overlays_are_in_the_order_of_the_slides() -> None:
    slides = [SlideStatus(f"slide-{i}", "ok", 1) for i in range(4)] + [SlideStatus("bad", "unreadable", 0)]
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0)]
    size = cell_size(len(slides))
    pictures = {position: Image.new("RGB", size, colour) for position, colour in enumerate(colours)} | {4: None}
    page = np.asarray(contact_sheet("tissue", slides, pictures, Counter(kept=4)))
    places = [np.argwhere((page == colour).all(axis=2)).mean(axis=0) for colour in colours]
    reading_order = sorted(range(4), key=lambda i: (round(places[i][0] / size[1]), places[i][1]))
    assert reading_order == [0, 1, 2, 3]


@pytest.fixture
def tissue(results: Path) -> Path:
    """The data set of the tiny run, with a slide that could not be tiled."""
    folder = results / "images/tissue"
    tiny.write_slide_without_thumbnail(folder / "broken.h5")
    outcomes = tiny.OUTCOMES | {"broken": ("unreadable", "not a slide: copy it again")}
    rows = [(unit, "", "", outcome, len(tiny.COORDS_LEVEL0.get(unit, []))) for unit, (outcome, _) in outcomes.items()]
    write_table(folder / "units.tsv", ("unit", "group", "split", "outcome", "images"), rows)
    for unit, (_, reason) in outcomes.items():
        write_json(folder / f"{unit}.json", {"reason": reason})
    return folder


def test_script_draws_all_slides_and_a_sheet_without_torch(tissue: Path) -> None:
    arguments = ["--units", tissue / "units.tsv", "--overlays", tissue / "overlays", "--sheet", tissue / "slides.jpg"]
    check = (
        "import runpy, sys; sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__'); assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", check, SCRIPT, *arguments, "--config", '{"minimum": {"focus": 0.5}}']
    subprocess.run([*command, "--threads", "2"], check=True, env={"PYTHONPATH": str(SCRIPT.parent)})
    assert {path.name for path in (tissue / "overlays").iterdir()} == {
        f"{unit}.jpg" for unit in ("slide-a", "slide-b", "blank", "broken")
    }
    for path in [*(tissue / "overlays").iterdir(), tissue / "slides.jpg"]:
        with Image.open(path) as picture:
            picture.load()
