"""What tells edited files from mere copies, remembered from one planning to the next."""

import functools
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from gensis.artifacts.files import content_id, quick_id, write_text

BLOCK_BYTES = 1 << 12  # with 16 blocks: files of up to 64 KiB as a whole; 10,000 slides in 3 s of CPU time


class Contents:
    """Versions of files that a user may edit: texts that change with what the files hold and not with their dates.

    Files are read only where a size or date is another than at the last planning. What was found then stands in a text
    file that lines are added to: name, state (sizes and dates), content, version; a name's last line counts. Without
    that text file everything is read once more.
    """

    def __init__(self, memory: Path):
        self._memory = Path(memory)
        lines = self._memory.read_text(encoding="utf-8").splitlines() if self._memory.exists() else []
        fields = (line.split("\t") for line in lines)
        self._known = {name: rest for name, *rest in fields if len(rest) == 3}  # a killed planning may cut a line
        if len(lines) > 2 * len(self._known):
            write_text(self._memory, "".join(_line(name, rest) for name, rest in self._known.items()))
        self._lines: TextIO | None = None
        # Slides that share a folder share its files, which are looked at once.
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
            name: what they are remembered by; it holds no tab.
            sampled: large files, told apart by their sizes and 16 blocks of each.
            whole: files of which every byte counts.
            failed: whether what was made of them failed. If so, another date is another version: a damaged copy may be
                of the same size and differ where no block lies.
        """
        state = _digest([self._state(sampled), self._state(whole)])
        known, content, version = self._known.get(name, ("", "", ""))
        if state == known:
            return version
        before, content = content, self._content(sampled, whole) or state
        if content != before:
            version = content
        elif failed():
            version = f"{content}-{state}"
        self._known[name] = [state, content, version]
        self._remember(_line(name, self._known[name]))
        return version

    def _content(self, sampled: tuple[str, ...], whole: tuple[str, ...]) -> str:
        """What the files hold; empty where one cannot be read: the job that needs it says so."""
        try:
            return _digest([self._sample(sampled), content_id(*whole)])
        except OSError:
            return ""

    def _remember(self, line: str) -> None:
        try:
            if self._lines is None:
                self._memory.parent.mkdir(parents=True, exist_ok=True)
                self._lines = open(self._memory, "a", encoding="utf-8", buffering=1)  # noqa: SIM115
            self._lines.write(line)
        except OSError:  # somebody else's folder: read again the next time
            pass


def _line(name: str, rest: list[str]) -> str:
    return "\t".join([name, *rest]) + "\n"


def _digest(values: list[object]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def _state(files: tuple[str, ...]) -> str:
    """Sizes and dates. The inode's date counts too, since a copy can keep the other one."""
    found = ((path, os.stat(path)) for path in files)
    return _digest([[path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for path, stat in found])


def _sample(files: tuple[str, ...]) -> str:
    return quick_id(*files, block_bytes=BLOCK_BYTES)
