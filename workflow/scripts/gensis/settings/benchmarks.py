"""Benchmarks with an own layout of files and own ground truth."""

from typing import Annotated, Literal

from pydantic import Field

from gensis.settings.base import Path, PositiveInt, Settings


class CopyDetection(Settings):
    """Copydays: strongly distorted copies are searched among the originals."""

    task: Literal["copy-detection"]
    """Name of the task."""
    path: Path
    """Folder with `original` and `strong`, whose JPEG files have names of six digits."""
    distractors: Path | None = None
    """Folder of images that are added to the originals, such as 10,000 of YFCC100M."""
    image_px: PositiveInt = 320
    """Side in pixels to which both sides of an image are resized."""

    @property
    def needed(self) -> tuple[str, ...]:
        """Files and folders that must exist."""
        return (f"{self.path}/original", f"{self.path}/strong", *([self.distractors] if self.distractors else []))


class LandmarkRetrieval(Settings):
    """Revisited Oxford or Paris: images of a query's landmark are searched."""

    task: Literal["retrieval-landmarks"]
    """Name of the task."""
    path: Path
    """The folder `roxford5k` or `rparis6k`, with `gnd_roxford5k.pkl` or `gnd_rparis6k.pkl` and `jpg`."""
    image_px: PositiveInt = 224
    """Longer side in pixels to which larger images are reduced."""
    multi_scale: bool = False
    """Average the embeddings of three sizes: the whole, 0.71 and half."""

    @property
    def needed(self) -> tuple[str, ...]:
        """Files and folders that must exist."""
        return (self.ground_truth, f"{self.path}/jpg")

    @property
    def ground_truth(self) -> str:
        """Path of the lists of queries and images."""
        return f"{self.path}/gnd_{self.path.rstrip('/').rpartition('/')[2]}.pkl"


class VideoSegmentation(Settings):
    """DAVIS 2017, validation videos at 480p: the masks of the first frame are propagated."""

    task: Literal["video-segmentation"]
    """Name of the task."""
    path: Path
    """The folder `DAVIS`, with `ImageSets/2017/val.txt`, `JPEGImages/480p` and `Annotations/480p`."""

    @property
    def needed(self) -> tuple[str, ...]:
        """Files and folders that must exist."""
        return (f"{self.path}/ImageSets/2017/val.txt", f"{self.path}/JPEGImages/480p", f"{self.path}/Annotations/480p")


class Segmentation(Settings):
    """Images with masks of classes, of train and test: a linear classifier of places."""

    task: Literal["segmentation"]
    """Name of the task."""
    path: Path
    """Folder with `train/images`, `train/masks`, `test/images` and `test/masks`. An image and its mask have one name;
    masks are PNGs whose values are numbers of classes, or GeoJSON with polygons of named classes."""
    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    """Names of the classes, from that of the value 0 on, which also pixels without a polygon have. The value
    255 and the class `Ignore*` are ignored."""
    image_px: PositiveInt = 224
    """Side in pixels to which both sides of an image are resized."""

    @property
    def needed(self) -> tuple[str, ...]:
        """Files and folders that must exist."""
        return tuple(f"{self.path}/{split}/{part}" for split in ("train", "test") for part in ("images", "masks"))


Benchmark = Annotated[CopyDetection | LandmarkRetrieval | VideoSegmentation | Segmentation, Field(discriminator="task")]
