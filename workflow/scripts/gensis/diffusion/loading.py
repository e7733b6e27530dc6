"""Loading a saved diffusion model for inference."""

from collections.abc import Callable
from pathlib import Path

import torch

from gensis.artifacts.files import read_json
from gensis.artifacts.folders import refuse_damaged
from gensis.diffusion.denoiser import find_denoiser
from gensis.diffusion.pipeline import GenSISPipeline
from gensis.errors import UserError
from gensis.settings.bank import Bank
from gensis.settings.diffusion import Diffusion
from gensis.training.compiling import Compile, compile_network


def load_pipeline(folder: Path, embedding_width: int, device: torch.device) -> GenSISPipeline:
    """The saved pipeline on the device.

    Raises:
        UserError: the folder holds no finished model, a file in it is damaged, or the model expects embeddings of
            another dimension.
    """
    provenance = Path(folder) / "provenance.json"
    if not provenance.exists():
        raise UserError(f"{folder} holds no finished diffusion model: train it first")
    refuse_damaged(Path(folder))
    record = read_json(provenance)
    if record["embedding_width"] != embedding_width:
        raise UserError(
            f"{folder} expects embeddings of dimension {record['embedding_width']}, not {embedding_width}: "
            "give the embeddings of the encoder that it was trained with"
        )
    # Found first, because diffusers loads a network of our own only if its module is imported.
    denoiser = find_denoiser(Diffusion.model_validate(record["settings"]).denoiser)
    pipeline = GenSISPipeline.from_pretrained(folder, local_files_only=True, low_cpu_mem_usage=False)
    pipeline.register_to_config(condition=denoiser.condition)  # models of earlier versions do not state it
    pipeline.to(device)
    for network in filter(None, (pipeline.denoiser, pipeline.vae)):
        network.to(memory_format=torch.channels_last)  # faster convolutions
    return pipeline


def generate_function(
    pipeline: GenSISPipeline, settings: Bank, compiled: Compile = False
) -> Callable[..., torch.Tensor]:
    """A function that generates images with a bank's sampling settings.

    Args:
        pipeline: from `load_pipeline`.
        settings: settings of the bank.
        compiled: `runtime.compile`, for the denoiser on a GPU. It has no effect on the CPU, where several threads
            generate at once: threads that compile at the same time deadlock.

    Returns:
        (embeddings (B, D), partners' (B, D) or None, alpha (B,) or None, noise (B, *noise_shape)) -> uint8
        (B, 3, H, W).
    """

    if pipeline.device.type != "cpu":
        compile_network(pipeline.denoiser, compiled)
    options = {
        "guidance": settings.guidance,
        "guidance_interval": settings.guidance_interval,
        "num_inference_steps": settings.sampling_steps,
        "sampler": settings.sampler,
    }

    def generate(
        embeddings: torch.Tensor, partners: torch.Tensor | None, alpha: torch.Tensor | None, noise: torch.Tensor
    ) -> torch.Tensor:
        with torch.autocast(pipeline.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            return pipeline(embeddings, partners, alpha, noise=noise, **options)

    return generate
