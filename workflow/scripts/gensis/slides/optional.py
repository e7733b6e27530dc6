"""Packages that only some slides need, listed in `envs/requirements-slides.txt`."""

from importlib import import_module
from types import ModuleType

from gensis.slides.reader import Unsupported


class MissingPackage(Unsupported):
    """A slide that can be read after a package has been installed; the message names both."""


def optional(module: str, slide: str) -> ModuleType:
    """Import a module of a package of the same name.

    Args:
        module: name of the module, which may contain dots.
        slide: what needs it, for the message.

    Raises:
        MissingPackage: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise MissingPackage(
            f"{slide} needs the package {package}: run `pip install -r envs/requirements-slides.txt`, then tile this "
            "slide again with --force and the path of its image store"
        ) from error
