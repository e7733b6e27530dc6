"""Settings that change speed and memory, never results beyond rounding: changing them reruns nothing."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gensis.settings.base import PositiveFloat, PositiveInt, Settings


class Runtime(Settings):
    """Speed and memory. These settings never change results, except for rounding, and changing them reruns nothing."""

    image_cache_gb: PositiveFloat = 8.0
    """Images are decoded once and cached in memory, up to this size in GB for all that a training reads: images, bank,
    latents and embeddings; what does not fit is streamed. On a GPU they take at most half of its free memory."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 300.0
    """Seconds between two checkpoints of a training. 0 saves one after every step."""
    keep_checkpoints: PositiveInt = 2
    """Number of checkpoints kept while a training runs. If the newest is damaged, the one before it is used."""
    monitor_epochs: PositiveInt = 5
    """Epochs between two evaluations of the encoder's embeddings in pre-training (RankMe, view retrieval,
    snapshots)."""
    compile: bool | Literal["reduce-overhead"] = False
    """Use torch.compile in trainings and, on GPUs, in generation. The start takes minutes longer, each step less.
    `reduce-overhead` also records CUDA graphs, for small networks that wait for the launches of their kernels; it
    takes more memory, and only compiles on a CPU."""
    tf32: bool = True
    """On GPUs, let the float32 networks of trainings, embedding and generation multiply in TF32, which rounds factors
    to 10 bits of mantissa and is several times as fast. Like another model of GPU, it changes the last digits of
    results. `false`: all 23 bits. Measures of the evaluation, and everything on a CPU, never use TF32."""
    sharding: Literal["none", "fsdp"] = "none"
    """How several GPUs pre-train one encoder. `none`: each has a copy of the networks. `fsdp`: each has a shard of
    them."""
    inference_batch_size: PositiveInt = 256
    """Images per forward pass in embedding and generation."""

    @model_validator(mode="after")
    def _graphs_of_weights_in_place(self) -> "Runtime":
        if self.compile == "reduce-overhead" and self.sharding == "fsdp":
            raise ValueError(
                "compile: reduce-overhead records where weights are in memory, and sharding: fsdp moves them: "
                "use compile: true, or sharding: none"
            )
        return self
