"""Which stored images the target `export` writes as files. Changing these keys reruns nothing else."""

from typing import Literal

from gensis.settings.base import Name, Settings


class Export(Settings):
    """Images as files for other programs, written by the target `export` only."""

    datasets: tuple[Name, ...] = ()
    """Data sets of the study whose images are written."""
    banks: tuple[Name, ...] = ()
    """Banks whose images are written."""
    format: Literal["folder", "webdataset"] = "folder"
    """`folder`: a file per image in a folder per class, as torchvision's ImageFolder reads them. `webdataset`: a tar
    per slide or shard."""
