"""Data sets: tiles of whole-slide images, and natural images from five kinds of source."""

import os
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from gensis.settings.base import Fraction, Name, Path, PositiveFloat, PositiveInt, Settings, added
from gensis.settings.registries import READERS
from gensis.settings.targets import Target, columns_of

SLIDE_COLUMNS = ("slide", "path", "label", "group", "split", "mpp", "mask", "annotations")
FILE_COLUMNS = ("path", "label", "group", "split")
Score = Literal[
    "tissue_fraction", "pen_fraction", "blood_fraction", "fat_fraction", "white_fraction", "black_fraction", "focus"
]
SCORES: tuple[str, ...] = get_args(Score)
"""Quality scores of a tile; columns of a slide's store."""


class Tissue(Settings):
    """Tissue detection on a thumbnail of the slide."""

    method: Literal["otsu", "none"] = "otsu"
    """`otsu`: tissue has a saturation above Otsu's threshold; pen marks are excluded. `none`: everything is tissue."""
    mpp: PositiveFloat = 8.0
    """Resolution of the thumbnail in um/px. 8 resolves single glands and is read in well under a second."""
    minimum_area_um2: Annotated[float, Field(ge=0)] = 16_000.0
    """Smaller tissue regions are dropped. 16,000 um2 is about one tile of 256 px at 0.5 um/px."""
    minimum_fraction: Fraction = 0.5
    """A tile is kept if at least this fraction of its area is tissue."""


class Tiling(Settings):
    """How square tiles of one resolution are extracted from a slide."""

    tile_px: PositiveInt = 256
    """Side of a tile in pixels at the target resolution."""
    mpp: PositiveFloat = 0.5
    """Target resolution in um/px. Slides are never upsampled."""
    mpp_tolerance: Fraction = 0.05
    """A pyramid level within this fraction of the target is read as it is; otherwise the next finer level is
    resampled."""
    resample: bool = added(neutral=True)
    """`false`: a slide without a level within `mpp_tolerance` of the target is left out as `no_level`, so that readers
    that cannot resample, such as CLAM's, find the stored tiles in the slide."""
    tissue: Tissue = Tissue()
    """Tissue detection."""
    tiles_per_slide: PositiveInt | None = None
    """Largest number of tiles per slide, chosen at random with a fixed seed. Empty: all tiles."""
    reader: Literal["auto", *READERS] = "auto"
    """Library that reads the slides. `auto`: the fastest one that returns correct pixels; the image store names it."""
    focus_mpp: PositiveFloat = 1.0
    """Resolution in um/px at which the focus score of a tile is computed."""
    encoding: Literal["jpeg", "png", "native"] = "jpeg"
    """Codec of the stored tiles. `jpeg` subsamples chroma if the slide's own tiles do. `native` copies the scanner's
    JPEG tiles without encoding them again where the tile grid matches them, and uses `jpeg` elsewhere."""
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = 90
    """JPEG quality of the stored tiles."""


class Quality(Settings):
    """Which tiles of a slide are used, by their quality scores. A change does not read the slides again."""

    minimum: dict[Score, Annotated[float, Field(ge=0)]] = {}
    """Smallest value of each score: `{focus: 5}`."""
    maximum: dict[Score, Annotated[float, Field(ge=0)]] = {}
    """Largest value of each score: `{pen_fraction: 0.1}`."""

    @model_validator(mode="after")
    def _fractions_are_no_percentages(self) -> "Quality":
        for name, value in [*self.minimum.items(), *self.maximum.items()]:
            if name.endswith("_fraction") and value > 1:
                raise ValueError(f"{name} {value:g} is above 1: write a fraction, 0.1 for 10 %")
        return self

    def __bool__(self) -> bool:
        return bool(self.minimum or self.maximum)


class SlidesDataset(Tiling):
    """Tiles of whole-slide images."""

    kind: Literal["slides"]
    """Kind of data set."""
    sheet: Path
    """CSV with the columns slide, path [, label, group, split, mpp, mask, annotations]. Paths are relative to the
    sheet."""
    columns: dict[str, str] = {}
    """Column names of the sheet, where they differ from the standard names: `group: case`."""
    targets: dict[Name, Target] = added(neutral={})
    """Further columns that slide tasks predict, each by itself, besides `label`: `{grade: classification, age:
    regression, os_months: {survival: {event: os_event}}}`. They are labels: no training reads them."""
    drawn_on: Literal["slide", "bounds"] = added(neutral="slide")
    """Where (0, 0) of the files in the columns `mask` and `annotations` is. `slide`: the corner of the whole slide, as
    OpenSlide shows it. `bounds`: the corner of its scanned area, to which QuPath crops slides that state one, such as
    MRXS."""
    quality: Quality = Quality()
    """Tiles that fail these limits stay in the store, but are used neither for training nor for evaluation."""
    max_failed_fraction: Fraction = 0.1
    """A slide with a larger fraction of unreadable tiles is `unreadable` and is not used; with a smaller fraction it is
    `partial`. A change does not read the slides again."""
    max_failed_slides: Fraction = 0.5
    """The run stops if a larger fraction of all slides, or of the training slides, has no images."""

    @model_validator(mode="after")
    def _targets_are_further_columns(self) -> "SlidesDataset":
        if taken := [name for name in columns_of(self.targets) if name in SLIDE_COLUMNS]:
            raise ValueError(f"targets: '{taken[0]}' is a standard column: name another column, see `columns`")
        return self


def _ascending(bounds: tuple[int, int]) -> tuple[int, int]:
    if bounds[0] >= bounds[1]:
        raise ValueError(f"{list(bounds)} is empty: put the smaller number first")
    return bounds


Split = Literal["train", "test"]
Range = Annotated[tuple[Annotated[int, Field(ge=0)], PositiveInt], AfterValidator(_ascending)]


class NaturalDataset(Settings):
    """Settings that all data sets of natural images share."""

    image_px: PositiveInt | None = None
    """Resize the shorter side to this and crop the centre. Empty: store the files unchanged; all must have one size."""
    max_images: dict[Split, PositiveInt] = {}
    """Largest number of images of a split, chosen at random with a fixed seed: `train: 5000`."""
    image_range: dict[Split, Range] = added(neutral={})
    """Images of a split from a first to before a last, in a random order with a fixed seed: `train: [0, 4000]` and
    `train: [4000, 8000]` of two data sets have no image in common. Instead of `max_images`."""
    shards: PositiveInt = 1
    """Number of files and import jobs per split."""
    max_failed_fraction: Fraction = 0.1
    """The run stops if a larger fraction of a shard's images cannot be decoded. A change imports nothing again."""

    @model_validator(mode="after")
    def _chosen_once(self) -> "NaturalDataset":
        if both := [split for split in self.image_range if split in self.max_images]:
            raise ValueError(f"image_range.{both[0]}: max_images chooses images of this split too: remove one of them")
        return self


class FilesDataset(NaturalDataset):
    """Image files listed in a sheet."""

    kind: Literal["files"]
    """Kind of data set."""
    sheet: Path
    """CSV with the columns path [, label, group, split]. Paths are relative to the sheet."""
    columns: dict[str, str] = {}
    """Column names of the sheet, where they differ from the standard names: `label: class`."""
    folder: str = added(neutral=".")
    """Folder that the paths of the sheet start from, relative to the sheet: `images`."""


class FolderDataset(NaturalDataset):
    """A folder tree. The folders directly below a split's folder, if there are any, are the classes."""

    kind: Literal["folder"]
    """Kind of data set."""
    path: Path
    """Root of the tree."""
    splits: dict[str, str] = {"train": "train", "test": "test"}
    """Folder of each split, relative to `path`. `{train: .}` for a tree without splits."""


class TorchvisionDataset(NaturalDataset):
    """A data set that torchvision downloads (and verifies by checksum) or finds in `root`."""

    kind: Literal["torchvision"]
    """Kind of data set."""
    name: Literal["CIFAR10", "CIFAR100", "STL10", "SVHN"]
    """Name of the data set in torchvision."""
    root: Path = "resources/torchvision"
    """Folder of the download."""


class Hdf5Dataset(NaturalDataset):
    """One HDF5 file with one group per split: `jpeg` (uint8, the files concatenated), `offsets` (int64) [, `labels`,
    `groups`, `names`]."""

    kind: Literal["hdf5"]
    """Kind of data set."""
    path: Path
    """The HDF5 file."""
    splits: dict[str, str] = {"train": "train", "test": "test"}
    """Group of each split in the file."""

    @property
    def files(self) -> tuple[str, ...]:
        """Files that are imported again when they change."""
        return (self.path,)


class PCamDataset(NaturalDataset):
    """PatchCamelyon (Veeling et al. 2018) as its authors distribute it: for each split an HDF5 file of images and one
    of labels, unpacked, and a table of the slides that the images come from, which may be absent."""

    kind: Literal["pcam"]
    """Kind of data set."""
    path: Path
    """Folder of `camelyonpatch_level_2_split_{train,valid,test}_{x,y}.h5` and `..._meta.csv`."""
    splits: dict[Split, Literal["train", "valid", "test"]] = {"train": "train", "test": "test"}
    """The authors' split that each split is: `{train: train, test: valid}` to choose between encoders."""

    def file(self, split: Split, part: Literal["x.h5", "y.h5", "meta.csv"]) -> str:
        """Path of the images, the labels or the slides of a split."""
        return f"{self.path}/camelyonpatch_level_2_split_{self.splits[split]}_{part}"

    @property
    def needed(self) -> tuple[str, ...]:
        """Files without which there are no images or labels."""
        return tuple(self.file(split, part) for split in self.splits for part in ("x.h5", "y.h5"))

    @property
    def files(self) -> tuple[str, ...]:
        """Files that are imported again when they change."""
        slides = (self.file(split, "meta.csv") for split in self.splits)
        return (*self.needed, *(path for path in slides if os.path.exists(path)))


Dataset = Annotated[
    SlidesDataset | FilesDataset | FolderDataset | TorchvisionDataset | Hdf5Dataset | PCamDataset,
    Field(discriminator="kind"),
]
