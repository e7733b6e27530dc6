"""The report of a run whose encoders are trained by another method than DINO."""

import shutil
from pathlib import Path

from tests.figures import tiny

from gensis.figures.page import page
from gensis.figures.run import Run

NAMES = {"gen-dino": "again", "dino": "simclr", "DINO": "SimCLR"}
COMPUTE = "<h2>Compute time</h2>"
LAST = "<h2>Configuration and versions</h2>"
TEXTS = (".csv", ".json", ".tsv")


def renamed(text: str) -> str:
    for one, other in NAMES.items():
        text = text.replace(one, other)
    return text


def without_compute(page: str) -> str:
    """The page without the section whose forward passes depend on the method."""
    before, _, after = page.partition(COMPUTE)
    assert after
    return before + after.partition("<h2>")[2]


def test_the_page_of_another_method_differs_in_names_only(full: Run, results: Path) -> None:
    other = results / "other/tiny"
    pretraining = tiny.CONFIG["pretraining"] | {"method": "simclr"}
    arms = {renamed(name): arm for name, arm in tiny.CONFIG["retraining"].items()}
    tiny.write_config(other, pretraining=pretraining, retraining=arms)
    for path in sorted(full.folder.rglob("*")):
        target = other / renamed(str(path.relative_to(full.folder)))
        if path.is_file() and path.name != "config.yaml":
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(renamed(path.read_text())) if path.suffix in TEXTS else shutil.copyfile(path, target)
    ours, theirs = (page(run).partition(LAST)[0] for run in (full, Run(other, results / "images")))
    assert "SimCLR" in theirs
    assert renamed(without_compute(ours)) == without_compute(theirs)
