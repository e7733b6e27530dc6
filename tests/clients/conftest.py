"""Two slides, cut at one of their levels and resampled, with features: made by the scripts that a run calls."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from openslide import OpenSlide
from tests.drawing import drawn_slide
from tests.images.test_features import embed, export
from tests.slides.test_tile_slide import SMALL, images_of, tile

from gensis.artifacts.files import write_json
from gensis.artifacts.tables import write_table
from gensis.ssl.backbone import Encoder, create_backbone, load_encoder, save_encoder
from gensis.ssl.preprocessing import Preprocessing

VIT = ("vit_tiny_patch16_224", {"patch_size": 8, "embed_dim": 24, "depth": 1, "num_heads": 2})
TARGET_MPP = {"level": 1.0, "resampled": 0.75}
"""The slide has levels of 0.5 and 1 um/px. At 0.75, tiles have a whole number of px at level 0."""


@dataclass(frozen=True)
class Cut:
    """A slide and what was made of it."""

    slide: Path
    store: Path
    tiles: list[np.ndarray]
    """The stored tiles, uint8 (64, 64, 3)."""
    features: Path
    """Folder of the exported features."""
    encoder: Path

    @property
    def opened(self) -> OpenSlide:
        return OpenSlide(self.slide)


def make_encoder(folder: Path) -> None:
    torch.manual_seed(0)
    backbone, arguments = create_backbone(VIT[0], 64, VIT[1])
    preprocessing = Preprocessing((64, 64), (0.5, 0.6, 0.7), (0.2, 0.3, 0.25))
    save_encoder(backbone, folder, name=VIT[0], arguments=arguments, preprocessing=preprocessing)
    write_json(folder / "provenance.json", {"external_weights": {}})


@pytest.fixture(scope="package")
def cuts(tmp_path_factory) -> dict[str, Cut]:
    result = {}
    for kind, mpp in TARGET_MPP.items():
        folder = tmp_path_factory.mktemp(kind)
        slide = drawn_slide(folder / "slide.tiff")
        tile(folder, slide, SMALL | {"mpp": mpp, "encoding": "png"})[1].close()
        make_encoder(folder / "encoder")
        write_table(folder / "units.tsv", ("unit", "rows"), [("unit", "")])
        embed(folder, ("unit",))
        export(folder)
        result[kind] = Cut(slide, folder / "unit.h5", images_of(folder), folder / "features", folder / "encoder")
    return result


@pytest.fixture(params=list(TARGET_MPP))
def cut(cuts, request) -> Cut:
    return cuts[request.param]


@pytest.fixture
def encoder(cuts) -> Encoder:
    """The same in all folders."""
    return load_encoder(cuts["level"].encoder)


def as_images(tiles: list[np.ndarray]) -> torch.Tensor:
    """uint8 (B, 3, H, W)."""
    return torch.from_numpy(np.stack(tiles)).movedim(3, 1).contiguous()
