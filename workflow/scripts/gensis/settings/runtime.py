"""Settings that change speed and memory, never results: changing them reruns nothing."""

from typing import Annotated, Literal

from pydantic import Field

from gensis.settings.base import PositiveFloat, PositiveInt, Settings


class Runtime(Settings):
    """Speed and memory. These settings never change results, and changing them reruns nothing."""

    image_cache_gb: PositiveFloat = 8.0
    """Images are decoded once and cached in memory (on the GPU, if there is one) up to this size in GB; larger data
    sets are streamed."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 300.0
    """Seconds between two checkpoints of a training. 0 saves one after every step."""
    keep_checkpoints: PositiveInt = 2
    """Number of checkpoints kept while a training runs. If the newest is damaged, the one before it is used."""
    monitor_epochs: PositiveInt = 5
    """Epochs between two evaluations of the encoder's embeddings in pre-training (RankMe, view retrieval,
    snapshots)."""
    compile: bool = False
    """Use torch.compile in pre-training and, on GPUs, in generation. The start takes minutes longer, each step less."""
    sharding: Literal["none", "fsdp"] = "none"
    """How several GPUs pre-train one encoder. `none`: each has a copy of the networks. `fsdp`: each has a shard of
    them."""
    inference_batch_size: PositiveInt = 256
    """Images per forward pass in embedding and generation."""
