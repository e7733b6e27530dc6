"""Modification dates of input files."""

import os
import time
from collections.abc import Mapping

from gensis.errors import UserError

_CLOCKS_DIFFER_S = 10  # tolerated difference to the clock of a file server


def refuse_future(changed: Mapping[str, float]) -> None:
    """Refuse files dated in the future.

    The output of a job would be older than such an input, so Snakemake (9.27, `DAG.check_output_mtime`) would delete it
    at the end of every run. Snakemake reads the date of a symbolic link itself, not of its target.

    Args:
        changed: path -> when the file was last changed, in seconds since 1970.
    """
    latest = time.time() + _CLOCKS_DIFFER_S
    late = [path for path, date in changed.items() if date > latest and os.lstat(path).st_mtime > latest]
    if late:
        date = time.strftime("%Y-%m-%d %H:%M", time.localtime(changed[late[0]]))
        files = f"{late[0]} is" if len(late) == 1 else f"{len(late)} files are"
        such = "" if len(late) == 1 else f", such as {late[0]}"
        raise UserError(
            f"{files} dated in the future{such} ({date}), and Snakemake would delete what jobs make from them: "
            "set the clock right, then `touch` the files (`find FOLDER -newermt now -exec touch {} +`), or use "
            "symbolic links to them if you may not change them"
        )
