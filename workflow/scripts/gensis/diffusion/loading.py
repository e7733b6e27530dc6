"""A saved diffusion model, ready to paint."""

from pathlib import Path

import torch

from gensis.diffusion.pipeline import GenSISPipeline
from gensis.errors import UserError


def load_pipeline(folder: Path, embedding_width: int, device: torch.device) -> GenSISPipeline:
    """The pipeline on the device.

    Raises:
        UserError: the folder holds no finished model, or one for other embeddings.
    """
    if not (Path(folder) / "provenance.json").exists():
        raise UserError(f"{folder} holds no finished diffusion model: train it first")
    pipeline = GenSISPipeline.from_pretrained(folder, local_files_only=True, low_cpu_mem_usage=False)
    if pipeline.embedding_width != embedding_width:
        raise UserError(
            f"{folder} paints from embeddings of {pipeline.embedding_width} values, not {embedding_width}: "
            "give the embeddings of the encoder that it was trained with"
        )
    return pipeline.to(device)
