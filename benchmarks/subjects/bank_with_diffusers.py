"""A plain eager loop with diffusers: the same denoiser and scheduler, PNGs by Pillow in one HDF5 file."""

import io
from pathlib import Path

import h5py
import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from PIL import Image
from torch.nn.functional import normalize
from worker import Work, serve


def prepare(order: dict) -> Work:
    """No state is kept between repeats; one repeat is the warm-up."""
    device, steps = order["device"], order["steps"]

    @torch.inference_mode()
    def generated(denoiser: UNet2DConditionModel, embeddings: torch.Tensor, generator: torch.Generator) -> np.ndarray:
        scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(order["diffusion"], subfolder="scheduler")
        scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps), device=device)
        conditions = normalize(embeddings.to(device), dim=1) * embeddings.shape[1] ** 0.5
        both = torch.cat([conditions, torch.zeros_like(conditions)])
        side = order["image_px"]
        sample = torch.randn(len(embeddings), 3, side, side, generator=generator).to(device)
        for timestep in scheduler.timesteps:
            output = denoiser(torch.cat([sample, sample]), timestep, None, class_labels=both).sample.float()
            conditional, unconditional = output.chunk(2)
            guided = unconditional + order["guidance"] * (conditional - unconditional)
            sample = scheduler.step(guided, timestep, sample).prev_sample
        images = ((sample.clamp(-1, 1) + 1) * 127.5).round().permute(0, 2, 3, 1)
        return images.cpu().numpy().astype(np.uint8)

    def work(folder: Path) -> int:
        denoiser = UNet2DConditionModel.from_pretrained(order["diffusion"], subfolder="denoiser").to(device).eval()
        with h5py.File(order["embeddings"]) as file:
            embeddings = torch.from_numpy(file["features"][:])
        generator = torch.Generator().manual_seed(0)
        encoded = []
        for batch in embeddings.split(order["batch"]):
            with torch.autocast(device, torch.bfloat16, enabled=order["precision"] == "bfloat16"):
                images = generated(denoiser, batch, generator)
            for image in images:
                stream = io.BytesIO()
                Image.fromarray(image).save(stream, "PNG")
                encoded.append(stream.getvalue())
        with h5py.File(folder / "bank.h5", "w") as file:
            file["encoded"] = np.frombuffer(b"".join(encoded), np.uint8)
            file["offsets"] = np.cumsum([0, *map(len, encoded)])
        return len(encoded)

    work(Path(order["folder"]))
    return work


serve(prepare)
