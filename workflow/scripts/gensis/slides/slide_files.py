"""The files that one slide consists of."""

import functools
import os


def slide_files(path: str) -> tuple[str, ...]:
    """A slide's files, the named one first or among the others: most slides are one file, some formats are several.

    MIRAX: the data folder beside it. DICOM: all `.dcm` files of the folder, as OpenSlide looks through them for its
    series. Hamamatsu VMS and VMU: the files of the folder whose names begin as its own.
    """
    stem, suffix = os.path.splitext(path)
    match suffix.lower():
        case ".mrxs":
            return path, *_files(stem)
        case ".dcm":
            return _files(os.path.dirname(path), suffix=".dcm")
        case ".vms" | ".vmu":
            return _files(os.path.dirname(path), prefix=os.path.basename(stem))
    return (path,)


@functools.cache  # a folder may hold many slides
def _files(folder: str, prefix: str = "", suffix: str = "") -> tuple[str, ...]:
    try:
        names = sorted(os.listdir(folder or "."))
    except OSError:  # a MIRAX slide without its folder
        return ()
    chosen = (name for name in names if name.startswith(prefix) and name.lower().endswith(suffix))
    return tuple(os.path.join(folder, name) for name in chosen)
