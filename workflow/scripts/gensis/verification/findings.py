"""What is wrong with which file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MOST_REASONS = 3


class Findings:
    """Reasons by file: each file is listed once, whatever is wrong with it."""

    def __init__(self) -> None:
        self._reasons: dict[Path, list[str]] = {}

    def add(self, path: Path, reason: str) -> None:
        """Note that something is wrong with a file."""
        reasons = self._reasons.setdefault(path, [])
        if reason not in reasons:
            reasons.append(reason)

    def __contains__(self, path: Path) -> bool:
        """Whether something is wrong with a file, as far as is known."""
        return path in self._reasons

    @contextmanager
    def reading(self, path: Path) -> Iterator[None]:
        """Read a file in the block: what it cannot be read for is noted, and the check goes on with other files."""
        try:
            yield
        except FileNotFoundError as error:
            self.add(path, f"needs {error.filename}, which is missing" if self._other(error, path) else "missing")
        except Exception as error:  # there is nothing that a damaged file may not make a reader raise
            self.add(path, f"cannot be read ({' '.join(str(error).split())[:200] or type(error).__name__})")

    def lines(self) -> list[str]:
        """A line a file, in the order in which they were found."""
        return [f"{path}: {_joined(reasons)}" for path, reasons in self._reasons.items()]

    @staticmethod
    def _other(error: FileNotFoundError, path: Path) -> bool:
        return error.filename is not None and Path(error.filename) != path


def _joined(reasons: list[str]) -> str:
    left = len(reasons) - _MOST_REASONS
    return "; ".join(reasons[:_MOST_REASONS]) + (f"; and {left} more" if left > 0 else "")
