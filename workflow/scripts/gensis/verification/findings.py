"""Problems that were found, by file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gensis.errors import Damaged

_MOST_REASONS = 3


class Findings:
    """Problems by file: each file is listed once, with all its problems."""

    def __init__(self) -> None:
        self._reasons: dict[Path, list[str]] = {}

    def add(self, path: Path, reason: str) -> None:
        """Add a problem of a file."""
        reasons = self._reasons.setdefault(path, [])
        if reason not in reasons:
            reasons.append(reason)

    def __contains__(self, path: Path) -> bool:
        """Whether a problem of a file is known."""
        return path in self._reasons

    @contextmanager
    def reading(self, path: Path) -> Iterator[None]:
        """Read a file in the block: errors are added as problems, and verification continues with other files."""
        try:
            yield
        except FileNotFoundError as error:
            self.add(path, f"needs {error.filename}, which is missing" if self._other(error, path) else "missing")
        except Exception as error:  # a damaged file may raise anything
            why = error.why if isinstance(error, Damaged) else str(error)
            self.add(path, f"cannot be read ({' '.join(why.split())[:200] or type(error).__name__})")

    def lines(self) -> list[str]:
        """One line per file, in the order in which they were found."""
        return [f"{path}: {_joined(reasons)}" for path, reasons in self._reasons.items()]

    @staticmethod
    def _other(error: FileNotFoundError, path: Path) -> bool:
        return error.filename is not None and Path(error.filename) != path


def _joined(reasons: list[str]) -> str:
    left = len(reasons) - _MOST_REASONS
    return "; ".join(reasons[:_MOST_REASONS]) + (f"; and {left} more" if left > 0 else "")
