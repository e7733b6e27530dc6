"""The diffusion model as one diffusers pipeline: embeddings in, images out.

A copy of this file is stored in every saved model, where `DiffusionPipeline.from_pretrained(DIR,
trust_remote_code=True)` finds it. Therefore it must not import gensis.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    ModelMixin,
)
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch.nn.functional import normalize

CLASS_EMBEDDING = {"encoder_hidden_states": "none", "class_labels": "vector"}
"""How a UNet2DConditionModel takes the condition as its class embedding; see `condition_arguments`."""

_SAVED_AS = "pipeline"
_NEARLY_PARALLEL = 1e-4
_DECODED_AT_ONCE = 32  # images; full-size maps of a whole batch would not fit on a GPU with 24 GB


def slerp(first: torch.Tensor, second: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Spherical interpolation (Shoemake 1985); ``alpha`` weights the FIRST.

    Args:
        first: float (B, D) unit vectors, the result at alpha 1.
        second: float (B, D) unit vectors, the result at alpha 0.
        alpha: float (B,) in [0, 1].

    Returns:
        float (B, D) unit vectors on the shorter great-circle arc; between opposite vectors, on any of the arcs.
    """
    cosine = (first * second).sum(1, keepdim=True)
    across = second - cosine * first
    sine = across.norm(dim=1, keepdim=True)
    # For (anti)parallel vectors, `across` is rounding error: any direction orthogonal to the first vector will do.
    axis = torch.zeros_like(first).scatter_(1, first.abs().argmin(1, keepdim=True), 1.0)
    other = axis - (axis * first).sum(1, keepdim=True) * first
    direction = normalize(torch.where(sine < _NEARLY_PARALLEL, other, across), dim=1)
    angle = torch.atan2(sine, cosine) * (1 - alpha).unsqueeze(1)
    return angle.cos() * first + angle.sin() * direction


def to_conditions(embeddings: torch.Tensor) -> torch.Tensor:
    """Conditions of the denoiser from float (B, D) embeddings: L2-normalised, times sqrt(D), so of unit mean square.

    Zeros stay zeros, which is the null condition.
    """
    return normalize(embeddings.float(), dim=1) * embeddings.shape[1] ** 0.5


def condition_arguments(forms: dict[str, str], conditions: torch.Tensor) -> dict[str, torch.Tensor | None]:
    """Conditions as keyword arguments of a denoiser.

    Args:
        forms: argument of the denoiser -> ``vector`` for the conditions (B, D), ``token`` for sequences of one token
            (B, 1, D), or ``none`` for None.
        conditions: float (B, D), see `to_conditions`.
    """
    shaped = {"vector": conditions, "token": conditions.unsqueeze(1), "none": None}
    return {argument: shaped[form] for argument, form in forms.items()}


class _ClippingDPMSolver(DPMSolverMultistepScheduler):
    """DPM-Solver++ that clips its predictions to [-1, 1], as DDIM does.

    diffusers' own thresholding takes quantiles, which fails on large batches.
    """

    def _threshold_sample(self, sample: torch.Tensor) -> torch.Tensor:
        return sample.clamp(-1, 1)


def prepared_sampler(saved: SchedulerMixin, sampler: str, steps: int) -> SchedulerMixin:
    """A new scheduler for one batch, its `timesteps` set. They stay on the CPU, so that no step waits for the device.

    Flow is sampled in equal steps from 1 to 0. The schedulers' defaults would spend the last step on the last
    thousandth of the time.

    Args:
        saved: the model's own scheduler, which defines what the denoiser predicts.
        sampler: ``auto`` (Euler for flow, DDIM for noise prediction), ``heun`` (flow only) or ``dpm++``.
        steps: steps of the sampler. Heun evaluates the denoiser twice in all steps but the last, the other samplers
            once in each step.

    Raises:
        ValueError: the sampler does not exist for this model.
    """
    config = saved.config
    is_flow = isinstance(saved, FlowMatchEulerDiscreteScheduler)
    if sampler == "auto":
        scheduler = type(saved).from_config(config)
        if is_flow:
            scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps))
        else:
            scheduler.set_timesteps(steps)
        return scheduler
    if sampler == "heun" and is_flow:
        scheduler = FlowMatchHeunDiscreteScheduler(config.num_train_timesteps)
        scheduler.sigma_min = 1 / steps
        scheduler.set_timesteps(steps)
        return scheduler
    if sampler == "dpm++":
        if is_flow:
            options = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
            scheduler = DPMSolverMultistepScheduler(config.num_train_timesteps, **options)
        else:
            scheduler = _ClippingDPMSolver.from_config(config)
            # With steps of equal time, the last step removes half of the noise (Karras et al. 2022, arXiv 2206.00364).
            scheduler.register_to_config(use_karras_sigmas=True, thresholding=config.clip_sample)
        scheduler.set_timesteps(steps)
        # The scheduler would look its first step up by the timestep, which many short steps share.
        scheduler.set_begin_index(0)
        if is_flow:  # the scheduler rounds timesteps down to integers
            scheduler.timesteps = scheduler.sigmas[:-1] * config.num_train_timesteps
        return scheduler
    raise ValueError(f"{type(saved).__name__} has no sampler '{sampler}'")


class GenSISPipeline(DiffusionPipeline):
    """Generates images from embeddings, or from interpolations between the embeddings of two images.

    Components: `denoiser`, which takes the condition as `config.condition` tells (see `condition_arguments`);
    `scheduler`; and `vae`, an AutoencoderKL, if the denoiser works in latents.
    """

    _optional_components = ["vae"]

    def __init__(
        self,
        denoiser: ModelMixin,
        scheduler: SchedulerMixin,
        vae: AutoencoderKL | None = None,
        condition: dict[str, str] = CLASS_EMBEDDING,
    ) -> None:
        super().__init__()
        self.register_modules(denoiser=denoiser, scheduler=scheduler, vae=vae)
        self.register_to_config(condition=condition)

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> None:
        """Save the components, this file, and an index that names both: see the top of this file."""
        super().save_pretrained(save_directory, **options)
        shutil.copyfile(__file__, Path(save_directory) / f"{_SAVED_AS}.py")
        index = Path(save_directory) / self.config_name
        config = json.loads(index.read_text()) | {"_class_name": [_SAVED_AS, type(self).__name__]}
        index.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")

    @classmethod
    def load_config(cls, *arguments: Any, **options: Any) -> Any:
        """As in diffusers, but with the name of this class, so that `from_pretrained` of this class does not import the
        saved copy.
        """
        config = super().load_config(*arguments, **options)
        (config[0] if isinstance(config, tuple) else config)["_class_name"] = cls.__name__
        return config

    @property
    def noise_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of the noise that one image starts from."""
        side = self.denoiser.config.sample_size
        return self.denoiser.config.in_channels, side, side

    @property
    def image_px(self) -> int:
        """Side of the generated images in pixels."""
        halvings = len(self.vae.config.block_out_channels) - 1 if self.vae is not None else 0
        return self.denoiser.config.sample_size * 2**halvings

    @torch.no_grad()
    def __call__(
        self,
        embeddings: torch.Tensor,
        partner_embeddings: torch.Tensor | None = None,
        alpha: torch.Tensor | float | None = None,
        guidance: float = 2.0,
        num_inference_steps: int = 50,
        noise: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
        output_type: str = "uint8",
        sampler: str = "auto",
        guidance_interval: tuple[float, float] = (0.0, 1.0),
    ) -> torch.Tensor | list[Image.Image]:
        """Generate one image from each embedding.

        Args:
            embeddings: float (B, D), the output of the encoder; they are normalised here.
            partner_embeddings: float (B, D); if given, images are generated from the SLERP of both embeddings.
            alpha: weight of `embeddings` against `partner_embeddings`, in [0, 1]: float or (B,).
            guidance: scale of classifier-free guidance; 1 is the plain conditional prediction.
            num_inference_steps: steps of the sampler (see `prepared_sampler`).
            noise: float (B, *noise_shape) of unit variance; drawn from `generator` if absent.
            generator: source of the noise; torch's global one if absent.
            output_type: ``uint8`` for a tensor (B, 3, H, W) on the device, ``pil`` for a list of images.
            sampler: ``auto``, ``heun`` or ``dpm++`` (see `prepared_sampler`).
            guidance_interval: lowest and highest time at which `guidance` applies; time 1 is pure noise and time 0 is
                the image. At other times guidance is 1, which takes one forward pass (Kynkaanniemi et al. 2024, arXiv
                2404.07724).
        """
        device = self.denoiser.device
        # Nothing here waits for the device, so that a GPU starts each batch right after the last one.
        embeddings = normalize(embeddings.to(device, torch.float32, non_blocking=True), dim=1)
        if partner_embeddings is not None:
            partners = normalize(partner_embeddings.to(device, torch.float32, non_blocking=True), dim=1)
            alpha = torch.as_tensor(alpha, dtype=torch.float32).to(device, non_blocking=True).expand(len(embeddings))
            embeddings = slerp(embeddings, partners, alpha)
        if noise is None:
            noise = randn_tensor((len(embeddings), *self.noise_shape), generator, device)
        sample = noise.to(device, torch.float32, non_blocking=True)
        conditions = to_conditions(embeddings)
        scheduler = prepared_sampler(self.scheduler, sampler, num_inference_steps)
        for timestep in scheduler.timesteps:
            on_device = torch.full_like(timestep, timestep.item(), device=device)  # written there, not copied
            time = float(timestep) / scheduler.config.num_train_timesteps
            guided = guidance_interval[0] <= time <= guidance_interval[1]
            prediction = self.predict(sample, on_device, conditions, guidance if guided else 1)
            sample = scheduler.step(prediction, timestep, sample).prev_sample
        pixels = self._decode(sample).float().clamp(-1, 1)
        images = ((pixels + 1) * 127.5).round().to(torch.uint8)
        if output_type == "uint8":
            return images
        return [Image.fromarray(image) for image in images.permute(0, 2, 3, 1).cpu().numpy()]

    def predict(
        self, sample: torch.Tensor, timestep: torch.Tensor, conditions: torch.Tensor, guidance: float
    ) -> torch.Tensor:
        """The denoiser's output with classifier-free guidance (Ho and Salimans 2022), float32 (B, C, h, w).

        Args:
            sample: float32 (B, C, h, w), noisy.
            timestep: scalar.
            conditions: float (B, D), see `to_conditions`.
            guidance: see `__call__`; 1 takes one forward pass per image, other values take two in one batch.
        """
        inputs = sample.to(self.denoiser.dtype)
        conditions = conditions.to(self.denoiser.dtype)
        if guidance == 1:
            arguments = condition_arguments(self.config.condition, conditions)
            return self.denoiser(inputs, timestep, **arguments).sample.float()
        arguments = condition_arguments(self.config.condition, torch.cat([conditions, torch.zeros_like(conditions)]))
        output = self.denoiser(inputs.repeat(2, 1, 1, 1), timestep, **arguments).sample.float()
        conditional, unconditional = output.chunk(2)
        return unconditional + guidance * (conditional - unconditional)

    def _decode(self, sample: torch.Tensor) -> torch.Tensor:
        """Pixels (B, 3, H, W) in [-1, 1] from the denoised sample."""
        if self.vae is None:
            return sample
        latents = sample / self.vae.config.scaling_factor + (self.vae.config.shift_factor or 0)
        parts = latents.to(self.vae.dtype).split(_DECODED_AT_ONCE)
        return torch.cat([self.vae.decode(part).sample for part in parts])
