"""A part of a study: what is known of its size before it runs. Imports no torch."""

from dataclasses import dataclass

THREADS = {
    "tile slides": 2,
    "import images": 1,
    "train encoder": 8,
    "train autoencoder": 8,
    "train diffusion": 8,
    "generate bank": 8,
    "embed images": 4,
    "evaluate": 4,
}
"""Kind of work -> threads of its rule, if there are so many cores."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A part of a study, for one seed."""

    stage: str
    """Heading of the row in the plan; works of one stage are added up."""
    subject: str
    """Encoder, bank, data set or task."""
    kind: str
    """What a unit of the work is: see `rates.KINDS`."""
    case: str
    """What the time of a unit depends on. Rates that were measured for the same case are exact."""
    jobs: int = 1
    images: float = 0
    """Images that are read or made, each as often as it is."""
    units: float
    """Forward passes, or images or comparisons where no network runs."""
    gflop: float = 0.0
    """Arithmetic of a unit in 10^9 floating-point operations; 0 where no network runs."""
    disk_bytes: float = 0
    temporary_bytes: float = 0
    """Disk space that a job needs besides while it runs."""
    saved: int = 0
    """Copies of the network that are written, besides."""
    memory_bytes: float
    """Main memory of a job."""
    batch_size: int = 1
    """Images at a time, where a network runs."""
    dataset: str = ""
    """The data set of an evaluation."""
    width: int = 0
    """Dimension of the embeddings of an evaluation."""
    seeds: int
    """Number of seeds that it runs for."""
