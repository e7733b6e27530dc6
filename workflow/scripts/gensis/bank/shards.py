"""The shards of a bank: files and jobs that it is divided into."""

import logging
from pathlib import Path

from gensis.images.bank_filter import filter_path
from gensis.images.export import remove_exported

log = logging.getLogger(__name__)


def shard_sources(images: int, shard: int, shards: int) -> range:
    """Rows of the sources of shard number ``shard`` of ``shards``."""
    return range(shard * images // shards, (shard + 1) * images // shards)


def remove_beyond(folder: Path, kind: str, shards: int) -> None:
    """Remove superfluous shards of an earlier bank that had more shards: the present shards have all images."""
    for path in folder.glob(f"{kind}-*.h5"):
        if int(path.stem.removeprefix(f"{kind}-")) >= shards:
            log.info("removing %s: the bank now has %d shards", path, shards)
            path.unlink(missing_ok=True)
            for table in folder.glob(f"export/*/{kind}/{path.stem}.tsv"):
                remove_exported(table)
            filter_path(path).unlink(missing_ok=True)
