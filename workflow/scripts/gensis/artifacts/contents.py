"""Versions of input files: they change when a file is edited, not when it is merely copied or touched."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from gensis.artifacts.files import content_id, digest, quick_id, write_text

BLOCK_BYTES = 1 << 12  # with 16 blocks: files of up to 64 KiB as a whole; 10,000 slides in 3 s of CPU time


class Contents:
    """Versions of files that a user may edit: strings that depend on the files' contents, not on their dates.

    A file is read only if its size or date has changed since the pipeline was last planned, or if it could not be read
    then. The results are cached in a text file to which lines are appended: name, state (sizes and dates), content,
    version; the last line of a name counts. Without this text file, all files are read again.
    """

    def __init__(self, memory: Path):
        self._memory = Path(memory)
        lines = self._memory.read_text(encoding="utf-8").splitlines() if self._memory.exists() else []
        fields = (line.split("\t") for line in lines)
        self._known = {name: rest for name, *rest in fields if len(rest) == 3}  # a killed process may cut a line short
        if len(lines) > 2 * len(self._known):
            write_text(self._memory, "".join(_line(name, rest) for name, rest in self._known.items()))
        self._lines: TextIO | None = None
        # Slides in one folder share its files: each file is examined once.
        self._state = functools.cache(_state)
        self._sample = functools.cache(_sample)

    def version(
        self,
        name: str,
        sampled: tuple[str, ...],
        whole: tuple[str, ...] = (),
        failed: Callable[[], bool] = lambda: False,
    ) -> str:
        """The version of files that belong together.

        Args:
            name: key in the cache; contains no tab.
            sampled: large files, compared by their sizes and 16 blocks of each.
            whole: files that are compared byte by byte.
            failed: whether the job that read them failed. If so, a new date is a new version: a damaged copy may have
                the same size and differ outside the sampled blocks.
        """
        state = digest([self._state(sampled), self._state(whole)])
        known, before, version = self._known.get(name, ("", "", ""))
        if state == known != before:
            return version
        content = self._content(sampled, whole)
        if not content and before != known:  # it could be read earlier: what was made from it stays
            return version
        content = content or state
        if (state, content) == (known, before):
            return version
        if content != before:
            version = content
        elif failed():
            version = f"{content}-{state}"
        self._known[name] = [state, content, version]
        self._remember(_line(name, self._known[name]))
        return version

    def _content(self, sampled: tuple[str, ...], whole: tuple[str, ...]) -> str:
        """Content id of the files; empty if one cannot be read: the job that needs the file reports the error."""
        try:
            return digest([self._sample(sampled), content_id(*whole)])
        except OSError:
            return ""

    def _remember(self, line: str) -> None:
        try:
            if self._lines is None:
                self._memory.parent.mkdir(parents=True, exist_ok=True)
                self._lines = open(self._memory, "a", encoding="utf-8", buffering=1)  # noqa: SIM115
            self._lines.write(line)
        except OSError:  # the folder is not writable: the files are read again next time
            pass


def _line(name: str, rest: list[str]) -> str:
    return "\t".join([name, *rest]) + "\n"


def _state(files: tuple[str, ...]) -> str:
    """Digest of sizes and dates. The inode's date counts too, since a copy can keep the modification date."""
    stats = ((path, os.stat(path)) for path in files)
    return digest([[path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for path, stat in stats])


def _sample(files: tuple[str, ...]) -> str:
    return quick_id(*files, block_bytes=BLOCK_BYTES)
