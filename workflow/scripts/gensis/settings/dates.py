"""Dates of input files."""

import os
import time
from collections.abc import Mapping

from gensis.errors import UserError

_CLOCKS_DIFFER_S = 10  # so much a server's clock may be ahead


def refuse_future(changed: Mapping[str, float]) -> None:
    """Refuse files dated in the future.

    What a job makes of one is older than it, wherefore Snakemake (9.27, `DAG.check_output_mtime`) deletes it after the
    work is done, at every run. It looks at the date of a link itself, not of what the link leads to.

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
            f"{files} dated in the future{such} ({date}), and Snakemake would delete whatever is made of that: set the "
            "clock right, then `touch` what is ahead (`find FOLDER -newermt now -exec touch {} +`); where you may not, "
            "use links to the files"
        )
