"""The files of one slide."""

import functools
import os


def slide_files(path: str) -> tuple[str, ...]:
    """All files of a slide: most slides are one file, some formats consist of several.

    MIRAX: also the data folder next to the file. DICOM: all `.dcm` files of the folder, since OpenSlide searches them
    for the slide's series. Hamamatsu VMS and VMU: the files of the folder whose names begin with the slide's name.
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
    except OSError:  # for instance a MIRAX slide without its folder
        return ()
    chosen = (name for name in names if name.startswith(prefix) and name.lower().endswith(suffix))
    return tuple(os.path.join(folder, name) for name in chosen)
