"""Data sets: whole-slide images cut into tiles, and natural images from four kinds of source."""

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from gensis.settings.base import Fraction, Path, PositiveFloat, PositiveInt, Settings

SLIDE_COLUMNS = ("slide", "path", "label", "group", "split", "mpp", "mask", "annotations")
FILE_COLUMNS = ("path", "label", "group", "split")
Score = Literal[
    "tissue_fraction", "pen_fraction", "blood_fraction", "fat_fraction", "white_fraction", "black_fraction", "focus"
]
SCORES: tuple[str, ...] = get_args(Score)
"""What is measured of every tile; columns of a slide's store."""


class Tissue(Settings):
    """How tissue is told from glass, on a thumbnail of the slide."""

    method: Literal["otsu", "none"] = "otsu"
    """`otsu`: saturation above Otsu's threshold, pen excluded. `none`: everything counts as tissue."""
    mpp: PositiveFloat = 8.0
    """Resolution of the thumbnail in um/px; 8 shows single glands and reads in well under a second."""
    minimum_area_um2: Annotated[float, Field(ge=0)] = 16_000.0
    """Islands below this area are dropped: 16,000 um2 is about one tile of 256 px at 0.5 um/px."""
    minimum_fraction: Fraction = 0.5
    """A tile is kept if at least this fraction of it is tissue."""


class Tiling(Settings):
    """How one slide is cut into square tiles at one resolution."""

    tile_px: PositiveInt = 256
    """Side of a tile in pixels at the target resolution."""
    mpp: PositiveFloat = 0.5
    """Target resolution in um/px. Slides are never upsampled."""
    mpp_tolerance: Fraction = 0.05
    """A level within this fraction of the target is read as it is; otherwise the next finer one is resampled."""
    tissue: Tissue = Tissue()
    tiles_per_slide: PositiveInt | None = None
    """Keep at most so many tiles of a slide, chosen at random with a fixed seed. Empty: all."""
    reader: Literal["auto", "openslide", "tiff", "picture"] = "auto"
    """What reads the slides. `auto`: the fastest that gives the right pixels; the store names it."""
    focus_mpp: PositiveFloat = 1.0
    """Resolution in um/px at which the focus of a tile is judged."""
    encoding: Literal["jpeg", "png", "native"] = "jpeg"
    """Codec of the stored tiles. `jpeg` halves colour where the slide's own tiles do. `native`: the scanner's own JPEG
    tiles, not encoded again, where the grid meets them, else `jpeg`."""
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = 90


class Quality(Settings):
    """Which tiles of a store are used, by the scores measured when it was cut. A change reads no slide again."""

    minimum: dict[Score, Annotated[float, Field(ge=0)]] = {}
    """Least value of a score: `{focus: 5}`."""
    maximum: dict[Score, Annotated[float, Field(ge=0)]] = {}
    """Largest value of a score: `{pen_fraction: 0.1}`."""

    @model_validator(mode="after")
    def _fractions_are_no_percentages(self) -> "Quality":
        for name, value in [*self.minimum.items(), *self.maximum.items()]:
            if name.endswith("_fraction") and value > 1:
                raise ValueError(f"{name} {value:g} lies above 1: write a fraction, 0.1 for 10 %")
        return self

    def __bool__(self) -> bool:
        return bool(self.minimum or self.maximum)


class SlidesDataset(Tiling):
    """Whole-slide images, cut into tiles."""

    kind: Literal["slides"]
    sheet: Path
    """CSV with the columns slide, path [, label, group, split, mpp, mask, annotations]; paths relative to the sheet."""
    columns: dict[str, str] = {}
    """What the sheet calls a column, where it is not called so: `group: case`."""
    quality: Quality = Quality()
    """Tiles that fail it stay in the store, but nothing is learnt from them or measured on them."""
    max_failed_fraction: Fraction = 0.1
    """A slide of which more tiles than this cannot be read is `unreadable` and not used; of fewer it is `partial`.
    A change reads no slide again."""
    max_failed_slides: Fraction = 0.5
    """More slides than this fraction without images, of all or of those to train on, and the run stops."""


class NaturalDataset(Settings):
    """What all data sets of single images share."""

    image_px: PositiveInt | None = None
    """Resize the shorter side to this and cut the central square. Empty: keep the bytes; all must be of one size."""
    max_images: dict[str, PositiveInt] = {}
    """At most so many images of a split, chosen at random with a fixed seed: `train: 5000`."""
    shards: PositiveInt = 1
    """Files (and import jobs) a split."""
    max_failed_fraction: Fraction = 0.1
    """More images of a shard than this that do not decode and the run stops. A change imports nothing again."""


class FilesDataset(NaturalDataset):
    """Image files listed in a sheet."""

    kind: Literal["files"]
    sheet: Path
    """CSV with the columns path [, label, group, split]; paths relative to the sheet."""
    columns: dict[str, str] = {}
    """What the sheet calls a column, where it is not called so."""


class FolderDataset(NaturalDataset):
    """A folder tree; the folder directly below a split's folder names the class, if there is one."""

    kind: Literal["folder"]
    path: Path
    splits: dict[str, str] = {"train": "train", "test": "test"}
    """Split: its folder, relative to `path`. `{train: .}` for a tree without splits."""


class TorchvisionDataset(NaturalDataset):
    """A data set that torchvision downloads (with its own checksum) or finds in `root`."""

    kind: Literal["torchvision"]
    name: Literal["CIFAR10", "CIFAR100", "STL10", "SVHN"]
    root: Path = "resources/torchvision"
    """Where torchvision keeps the download."""


class Hdf5Dataset(NaturalDataset):
    """One HDF5 file with a group a split: `jpeg` (uint8, files end to end), `offsets` (int64) [, `labels`, `groups`,
    `names`]."""

    kind: Literal["hdf5"]
    path: Path
    splits: dict[str, str] = {"train": "train", "test": "test"}
    """Split: its group in the file."""


Dataset = Annotated[
    SlidesDataset | FilesDataset | FolderDataset | TorchvisionDataset | Hdf5Dataset, Field(discriminator="kind")
]
