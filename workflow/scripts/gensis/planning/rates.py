"""Seconds of a unit of work on a machine, measured there and kept as YAML."""

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import yaml

from gensis.artifacts.files import written_atomically
from gensis.errors import UserError

KINDS = {
    "tile slides": "a tile",
    "import images": "an image",
    "train encoder": "a forward pass of a global view; a backward pass counts as two, a smaller view by its pixels",
    "train autoencoder": "a forward pass of an image; a backward pass counts as two",
    "train diffusion": "a forward pass of the denoiser for an image; a backward pass counts as two",
    "generate bank": "a forward pass of the denoiser for an image",
    "embed images": "an image",
    "evaluate": "an image or, for k-NN and retrieval, a pair of images",
}
"""Kind of work -> its unit."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Measured time of a unit of work."""

    kind: str
    """One of `KINDS`."""
    case: str
    """What was measured, as `cases` describes it."""
    seconds: float
    """Of a unit."""
    job_seconds: float = 0.0
    """Of a job before its first unit: start of Python, libraries and, for a slide, its thumbnail."""
    gflop: float = 0.0
    """Arithmetic of a unit in 10^9 floating-point operations; 0 where no network runs."""
    saved_bytes: int = 0
    """Weights of the network in float32."""
    gpu_bytes: int = 0
    """Largest memory of the GPU that was allocated at a time, without images that a training holds there."""
    source: str = ""
    """Where the figure is from, if this pipeline's calibration did not measure it."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """The rates of a machine."""

    machine: str
    cores: int
    """CPU cores that its jobs share."""
    has_gpu: bool
    """Whether networks ran on a GPU."""
    rates: tuple[Rate, ...]

    def of(self, kind: str, case: str, gflop: float) -> tuple[Rate, bool] | None:
        """The rate of a case, and whether it was measured for this very case.

        Otherwise it is that of the case of this kind that is closest in arithmetic, in proportion to the arithmetic
        where a network runs. None if the kind, or the task of an evaluation, was not measured.

        Args:
            kind: of the work.
            case: of the work.
            gflop: arithmetic of a unit of it; 0 where it has none.
        """
        known = [rate for rate in self.rates if rate.kind == kind]
        for rate in known:
            if rate.case == case:
                return rate, True
        if not gflop:
            same = [
                rate for rate in known if not rate.gflop and (kind != "evaluate" or _task(rate.case) == _task(case))
            ]
            return (same[0], False) if same else None
        comparable = [rate for rate in known if rate.gflop]
        if not comparable:
            return None
        closest = min(comparable, key=lambda rate: abs(math.log(rate.gflop / gflop)))
        scaled = asdict(closest) | {"seconds": closest.seconds * gflop / closest.gflop, "gflop": gflop}
        return Rate(**scaled | {"saved_bytes": 0, "gpu_bytes": 0}), False


def _task(case: str) -> str:
    """The task of an evaluation."""
    return case.partition(",")[0]


def read_rates(path: Path) -> Rates:
    """Read the rates of a machine.

    Raises:
        UserError: the file is missing or is not one of rates.
    """
    try:
        values = yaml.safe_load(path.read_text())
        rates = tuple(Rate(**each) for each in values["rates"])
        about = {key: values[key] for key in ("machine", "cores", "has_gpu")}
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        keys, reason = ", ".join(field.name for field in fields(Rate)), " ".join(str(error).split())
        raise UserError(
            f"{path} is no file of rates ({reason}): give one with machine, cores, has_gpu and rates ({keys})"
        ) from None
    if unknown := [rate.kind for rate in rates if rate.kind not in KINDS]:
        raise UserError(f"{path}: '{unknown[0]}' is not one of {', '.join(KINDS)}: correct it")
    return Rates(rates=rates, **about)


def write_rates(path: Path, rates: Rates) -> None:
    """Write the rates of a machine, numbers with four digits."""
    values = {
        "machine": rates.machine,
        "cores": rates.cores,
        "has_gpu": rates.has_gpu,
        "rates": list(map(_entry, rates.rates)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(path) as temporary:
        Path(temporary).write_text(yaml.safe_dump(values, sort_keys=False, width=120))


def _entry(rate: Rate) -> dict:
    defaults = {field.name: field.default for field in fields(Rate)}
    return {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in asdict(rate).items()
        if value != defaults[name]
    }
