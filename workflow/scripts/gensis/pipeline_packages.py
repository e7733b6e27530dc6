"""Packages that the pipeline needs, but not an encoder: `pip install .` leaves them out."""

from importlib.util import find_spec


def require(*modules: str) -> None:
    """Refuse to go on without these modules.

    Raises:
        ImportError: some are not installed.
    """
    if missing := [name for name in modules if find_spec(name) is None]:
        raise ImportError(
            f"{', '.join(missing)} not installed: this part of gensis needs the packages of the pipeline, "
            "`pip install '.[pipeline]'` in the folder of the repository"
        )
