"""Numbers that change speed and memory, never results: nothing reruns when they change."""

from typing import Annotated, Literal

from pydantic import Field

from gensis.settings.base import PositiveFloat, PositiveInt, Settings


class Runtime(Settings):
    """How work is laid out on the machine."""

    image_cache_gb: PositiveFloat = 8.0
    """Decoded images are held in memory (on the GPU, if there is one) up to this size; beyond it they are streamed."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 300.0
    """Time between two checkpoints of a training; 0 saves at every step."""
    keep_checkpoints: PositiveInt = 2
    """The last checkpoints that stay while a training runs: if the disk spoils one, the one before it serves."""
    monitor_epochs: PositiveInt = 5
    """Epochs between two looks at the teacher's embeddings in pre-training (RankMe and view retrieval)."""
    compile: bool = False
    """Let torch compile the networks in pre-training and, on GPUs, in generation: minutes at the start, then faster."""
    sharding: Literal["none", "fsdp"] = "none"
    """Where several GPUs pre-train one encoder: a copy of the networks on each, or with `fsdp` a part of them."""
    inference_batch_size: PositiveInt = 256
    """Images a forward pass in embedding and generation."""
