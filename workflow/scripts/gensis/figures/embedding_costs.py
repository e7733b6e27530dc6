"""What each encoder costs where it is used: size, time of embedding and disk of the embeddings."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from gensis.artifacts.hdf5 import open_hdf5
from gensis.figures.job_costs import Costs, mean_cost
from gensis.figures.run import Run

HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class EmbeddingCost:
    """Cost of an encoder on one data set, of one seed; NaN where it is not known."""

    encoder: str
    dataset: str
    parameters: float
    """Numbers in the weight file, with the few of normalisation layers that are not trained."""
    dimension: int
    images: int
    seconds_per_1000_images: float
    """Wall-clock time of the embedding jobs, with start and reading of the images."""
    cpu_hours: float
    gpu_hours: float
    """Wall-clock time on a GPU, 0 on a CPU."""
    megabytes: float
    """Size of the embeddings' files."""


COLUMNS = tuple(field.name for field in fields(EmbeddingCost))
"""Columns of costs.csv in a study that trains nothing."""


def embedding_costs(run: Run, costs: Costs) -> list[EmbeddingCost]:
    """Cost of each encoder on each data set that it embedded, the reference first."""
    pairs = [(dataset.name, encoder) for dataset in run.datasets for encoder in (*run.study.encoders, "pixels")]
    return [
        _cost(run, costs, dataset=dataset, encoder=encoder, parts=parts)
        for dataset, encoder in pairs
        if (parts := run.embedding_parts(encoder, dataset))
    ]


def csv_rows(found: list[EmbeddingCost]) -> Iterator[list[object]]:
    """Rows of costs.csv; unknown numbers are empty."""
    for each in found:
        name, dataset, *numbers = asdict(each).values()
        yield [name, dataset, *("" if math.isnan(number) else round(number, 6) for number in numbers)]


def _cost(run: Run, costs: Costs, *, dataset: str, encoder: str, parts: list[Path]) -> EmbeddingCost:
    images = dimension = 0
    devices = set()
    for part in parts:
        with open_hdf5(part) as file:
            rows, dimension = file["features"].shape
            images += rows
            devices.add(json.loads(file.attrs.get("provenance", "{}")).get("device", "cpu"))
    jobs = mean_cost(costs, "embed_images", f"{encoder}-{dataset}")
    return EmbeddingCost(
        encoder=encoder,
        dataset=dataset,
        parameters=_parameters(run.folder / f"encoders/{encoder}/seed{run.study.seeds[0]}/model.safetensors"),
        dimension=dimension,
        images=images,
        seconds_per_1000_images=1000 * jobs.seconds / images if images else math.nan,
        cpu_hours=jobs.processor_seconds / HOUR,
        gpu_hours=0.0 if devices == {"cpu"} else jobs.seconds / HOUR,
        megabytes=sum(part.stat().st_size for part in parts) / 1e6,
    )


def _parameters(weights: Path) -> float:
    """Numbers in a safetensors file, from its header; NaN if there is none."""
    if not weights.exists():
        return math.nan
    with open(weights, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return float(sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__"))
