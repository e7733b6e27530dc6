import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.drawing import drawn_slide, glass_slide
from tests.workflow.clone import TINY, copy_repository, snakemake, write_config

SHEET = """slide,path,label,case,split
lymphoid-1,lymphoid-1.tiff,lymphoid,p1,train
lymphoid-2,lymphoid-2.tiff,lymphoid,p2,train
glandular-1,glandular-1.tiff,glandular,p3,train
glandular-2,glandular-2.tiff,glandular,p4,train
lymphoid-3,lymphoid-3.tiff,lymphoid,p5,test
glandular-3,glandular-3.tiff,glandular,p6,test
glass,glass.tiff,glandular,p7,test
broken,broken.tiff,lymphoid,p8,train
"""


@dataclass
class Finished:
    """A finished run of the tiny study."""

    clone: Path
    slides: Path
    config: Path
    log: str

    @property
    def values(self) -> dict:
        """What its config holds."""
        return tiny_study(self.slides)


def tiny_study(slides: Path) -> dict:
    dataset = {"kind": "slides", "sheet": str(slides / "slides.csv"), "columns": {"group": "case"}}
    dataset |= {"tile_px": 32, "mpp": 1.0}
    study = TINY | {"datasets": {"tissue": dataset}}
    study["pretraining"] = TINY["pretraining"] | {"dataset": "tissue"}
    study["evaluation"] = TINY["evaluation"] | {"datasets": ["tissue"]}
    study["export"] = {"datasets": ["tissue"], "banks": ["default"]}
    return study


def draw_slides(folder: Path) -> None:
    folder.mkdir()
    for seed, name in enumerate(
        ["lymphoid-1", "lymphoid-2", "glandular-1", "glandular-2", "lymphoid-3", "glandular-3"]
    ):
        drawn_slide(folder / f"{name}.tiff", name.split("-")[0], 320, 320, seed)
    glass_slide(folder / "glass.tiff", 320, 320)
    (folder / "broken.tiff").write_bytes(b"not a slide")
    (folder / "slides.csv").write_text(SHEET)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Finished:
    """A run of the whole method at 16 px, made once for all tests, which must not change it."""
    folder = tmp_path_factory.mktemp("finished")
    draw_slides(folder / "slides")
    clone = copy_repository(folder / "clone")
    config = write_config(folder / "tiny.yaml", tiny_study(folder / "slides"))
    result = snakemake(clone, config, "all", "geojson", "features", "export", "attention")
    assert result.returncode == 0, result.stdout[-5000:]
    return Finished(clone, folder / "slides", config, result.stdout)


@pytest.fixture
def restored(finished):
    """The finished run with a sheet that a test may edit; it is restored afterwards."""
    sheet, backup = finished.slides / "slides.csv", finished.slides / "backup"
    shutil.copy2(sheet, backup)
    yield finished
    os.replace(backup, sheet)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real slides and images."""
    folder = Path(os.environ.get("GENSIS_DATA", Path(__file__).parents[3] / "shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} does not exist; set GENSIS_DATA")
    return folder
