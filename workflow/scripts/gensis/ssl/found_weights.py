"""Finds an architecture's tensors in external checkpoints, under any key and with any prefix."""

import argparse
import logging
import pickle
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from gensis.errors import UserError
from gensis.ssl.transformers_names import as_in_timm, is_of_transformers

log = logging.getLogger(__name__)
_AVERAGED = {"teacher", "ema"}
_COUNTED = "num_batches_tracked"  # of BatchNorm: older files lack it, and no output depends on it
_SHOWN = 3


def find_weights(path: Path, wanted: Mapping[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """The tensors of a file with the names in ``wanted``, under the prefix with the most matches.

    DINO saves them as `teacher` > `backbone.`, Lightning as `state_dict` > `model.`, DistributedDataParallel as
    `module.`; DINOv2 groups its blocks, and transformers has other names for it. If several networks match equally
    well, a teacher or moving average is preferred, then the first in the file.

    Args:
        path: a file written by torch.save or safetensors.
        wanted: the architecture's state dict.
        name: of the architecture.

    Returns:
        Tensors by their names in ``wanted``, none missing.

    Raises:
        UserError: the file cannot be read, or lacks tensors; the message lists its content.
    """
    needed = [key for key in wanted if not key.endswith(_COUNTED)]
    tensors = dict(_named_tensors(read_checkpoint(path)))
    if is_of_transformers(tensors):
        tensors = as_in_timm(tensors)
    for names in ({each: each for each in tensors}, {_ungrouped(each): each for each in tensors}):
        prefix = _best_prefix(names, needed)
        missing = [key for key in needed if prefix + key not in names]
        if not missing:
            if prefix:
                log.info("%s: using the tensors with the prefix '%s'", path, prefix)
            return {key: tensors[names[prefix + key]] for key in wanted if prefix + key in names}
    raise UserError(
        f"{path} lacks {len(missing)} of the {len(wanted)} tensors of {name}, such as {prefix}{missing[0]}; "
        f"it has {_summary(tensors)}: correct `timm` or `path`"
    )


def read_checkpoint(path: Path) -> Any:
    """Read a file written by torch.save or safetensors. Only tensors and plain values are read; no code in it runs.

    Raises:
        UserError: the file cannot be read, or contains other objects.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):  # options of DINO, MAE and timm
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        others = _other_objects(path)
        if not others:
            raise UserError(f"{path} is not a torch checkpoint ({one_line(error)}): correct `path`") from error
        raise UserError(
            f"{path} contains Python objects, whose code would run on loading ({', '.join(others[:_SHOWN])}): "
            "where it was made, save only its tensors: torch.save(model.state_dict(), FILE)"
        ) from error
    except (OSError, MemoryError):
        raise
    except Exception as error:  # torch and safetensors raise many types
        raise UserError(
            f"{path} is not a torch or safetensors checkpoint ({one_line(error)}): correct `path`"
        ) from error


def _other_objects(path: Path) -> list[str]:
    try:
        return torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # a damaged file, or one from before torch 1.6
        return []


def _named_tensors(values: Any, before: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Name and tensor for all tensors in nested dictionaries; names are keys joined by dots."""
    if isinstance(values, torch.Tensor):
        yield before, values
    elif isinstance(values, Mapping):
        for key, value in values.items():
            yield from _named_tensors(value, f"{before}.{key}" if before else str(key))


def _best_prefix(names: Iterable[str], needed: Iterable[str]) -> str:
    needed, found = set(needed), Counter()
    for name in names:
        starts = [0, *(match.end() for match in re.finditer(r"\.", name))]
        found.update(name[:start] for start in starts if name[start:] in needed)
    return max(found, key=lambda prefix: (found[prefix], _is_averaged(prefix)), default="")


def _is_averaged(prefix: str) -> bool:
    return not _AVERAGED.isdisjoint(re.split(r"[._]", prefix))


def _ungrouped(name: str) -> str:
    """`blocks.<group>.<block>` of a DINOv2 training as `blocks.<block>`."""
    return re.sub(r"\bblocks\.\d+\.(\d+\.)", r"blocks.\1", name)


def _summary(tensors: Mapping[str, torch.Tensor]) -> str:
    """Number and examples of the tensors, for an error message."""
    if not tensors:
        return "no tensors"
    networks: dict[str, str] = {}
    for name in tensors:
        networks.setdefault(name.split(".")[0], name)
    few = ", ".join(list(networks.values())[:_SHOWN])
    return f"{len(tensors)} other tensors, such as {few}"


def one_line(error: Exception) -> str:
    """Message of an exception on one line."""
    return " ".join(str(error).split())[:200]
