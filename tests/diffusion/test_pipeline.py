import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from tests.diffusion.tiny import UNET

from gensis.artifacts.files import write_json
from gensis.artifacts.folders import write_provenance
from gensis.diffusion.denoiser import create_denoiser, find_denoiser
from gensis.diffusion.loading import generate_function, load_pipeline
from gensis.diffusion.objective import make_scheduler
from gensis.diffusion.pipeline import GenSISPipeline, prepared_sampler, to_conditions
from gensis.errors import UserError
from gensis.settings.bank import Bank
from gensis.settings.diffusion import Diffusion
from gensis.settings.registries import DENOISERS

WIDTH = 6


def make_pipeline(objective="flow", vae=None, **settings) -> GenSISPipeline:
    torch.manual_seed(0)
    shape = (3, 16, 16) if vae is None else (2, 8, 8)
    settings = Diffusion(**(UNET | settings))
    denoiser = create_denoiser(settings, shape, WIDTH)
    # Outputs of a fresh UNet are small; larger ones make differences visible in 8 bits.
    denoiser.conv_out.weight.data *= 10
    condition = find_denoiser(settings.denoiser).condition
    return GenSISPipeline(denoiser, make_scheduler(objective, vae is None), vae, condition)


def small_vae() -> AutoencoderKL:
    torch.manual_seed(1)
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return AutoencoderKL(
        **blocks, block_out_channels=(8, 8), latent_channels=2, norm_num_groups=2, scaling_factor=0.5, shift_factor=0.1
    )


@pytest.fixture
def embeddings():
    return torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def noise():
    return torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(2))


def test_conditions_have_unit_mean_square_and_null_is_zero(embeddings):
    conditions = to_conditions(embeddings * 37)
    torch.testing.assert_close(conditions.square().mean(1), torch.ones(4))
    torch.testing.assert_close(conditions, to_conditions(embeddings))
    assert to_conditions(torch.zeros(2, WIDTH)).eq(0).all()


def test_guidance_extrapolates_from_the_null_to_the_conditional_prediction(embeddings, noise):
    pipeline = make_pipeline()
    conditions, time = to_conditions(embeddings), torch.tensor(400.0)
    with torch.no_grad():
        conditional = pipeline.denoiser(noise, time, None, class_labels=conditions).sample
        null = pipeline.denoiser(noise, time, None, class_labels=torch.zeros(4, WIDTH)).sample
        assert not torch.allclose(conditional, null, atol=1e-3)
        torch.testing.assert_close(pipeline.predict(noise, time, conditions, 1), conditional)
        guided = pipeline.predict(noise, time, conditions, 2.5)
        torch.testing.assert_close(guided, null + 2.5 * (conditional - null), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(pipeline.predict(noise, time, conditions, 0), null, atol=1e-6, rtol=1e-4)


def test_alpha_one_generates_the_source_and_zero_its_partner(embeddings, noise):
    pipeline = make_pipeline()
    partners = embeddings.flip(0)
    source, partner = (
        pipeline(embeddings, noise=noise, num_inference_steps=4),
        pipeline(partners, noise=noise, num_inference_steps=4),
    )
    assert (source != partner).any()
    for alpha, expected in ((1.0, source), (0.0, partner), (torch.ones(4), source)):
        generated = pipeline(embeddings, partners, alpha, noise=noise, num_inference_steps=4)
        assert (generated.int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize("objective", ["flow", "epsilon"])
def test_generates_deterministic_uint8_images_of_the_denoisers_size(objective, embeddings, noise):
    pipeline = make_pipeline(objective)
    images = pipeline(embeddings, noise=noise, num_inference_steps=3)
    assert images.dtype == torch.uint8
    assert images.shape == (4, 3, 16, 16)
    assert pipeline.image_px == 16
    assert images.equal(pipeline(embeddings, noise=noise, num_inference_steps=3))
    pictures = pipeline(embeddings, noise=noise, num_inference_steps=3, output_type="pil")
    assert np.array_equal(np.stack(pictures), images.permute(0, 2, 3, 1).numpy())


SAMPLERS = [("flow", "auto"), ("flow", "heun"), ("flow", "dpm++"), ("epsilon", "auto"), ("epsilon", "dpm++")]


def of_a_gaussian(objective, sampler, steps, mean=0.3, deviation=0.2):
    """A sampler's output from noise 1.5 for images from N(mean, deviation^2), whose exact predictions are known."""
    scheduler = prepared_sampler(make_scheduler(objective, False), sampler, steps)
    sample = torch.full((1, 1, 1, 1), 1.5, dtype=torch.float64)
    for timestep in scheduler.timesteps:
        if objective == "flow":
            clean, noisy = 1 - timestep / 1000, timestep / 1000
        else:
            clean = scheduler.alphas_cumprod[timestep] ** 0.5
            noisy = (1 - clean**2) ** 0.5
        variance = (clean * deviation) ** 2 + noisy**2
        noise = noisy * (sample - clean * mean) / variance
        image = mean + clean * deviation**2 * (sample - clean * mean) / variance
        sample = scheduler.step(noise - image if objective == "flow" else noise, timestep, sample).prev_sample
    return sample.item()


@pytest.mark.parametrize(("objective", "sampler"), SAMPLERS)
def test_samplers_transport_noise_to_the_exact_image(objective, sampler):
    error = abs(of_a_gaussian(objective, sampler, 1000) - (0.3 + 1.5 * 0.2))  # quantiles are preserved
    assert error < (0.001 if objective == "flow" else 0.01)  # latent diffusion's schedule does not start at pure noise


@pytest.mark.parametrize(("objective", "sampler"), [pair for pair in SAMPLERS if pair[1] != "auto"])
def test_second_order_samplers_are_more_accurate_with_few_steps(objective, sampler):
    errors = [abs(of_a_gaussian(objective, name, 12) - (0.3 + 1.5 * 0.2)) for name in ("auto", sampler)]
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize(("objective", "sampler"), SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_samplers_have_the_documented_steps_which_are_equal_for_flow(objective, sampler, steps):
    scheduler = prepared_sampler(make_scheduler(objective, False), sampler, steps)
    assert len(scheduler.timesteps) == (2 * steps - 1 if sampler == "heun" else steps)
    assert scheduler.timesteps[0] >= 999
    if objective == "flow":
        expected = torch.linspace(1000, 1000 / steps, steps)
        torch.testing.assert_close(scheduler.timesteps.unique().flip(0).float(), expected, atol=1, rtol=0)


@pytest.mark.parametrize(("objective", "sampler"), SAMPLERS)
def test_every_sampler_is_deterministic(objective, sampler, embeddings, noise):
    pipeline = make_pipeline(objective)
    first, again = (pipeline(embeddings, noise=noise, num_inference_steps=3, sampler=sampler) for _ in range(2))
    assert first.equal(again)


def test_predictions_of_pixels_are_clipped_by_both_samplers_of_epsilon(embeddings, noise):
    pipeline = make_pipeline("epsilon")
    ddim, solver = (
        pipeline(embeddings, noise=noise, num_inference_steps=1, sampler=name) for name in ("auto", "dpm++")
    )
    assert (ddim.int() - solver.int()).abs().max() <= 1


@pytest.mark.parametrize(("objective", "sampler"), [("epsilon", "heun"), ("flow", "ddim")])
def test_a_sampler_that_does_not_exist_for_the_objective_is_refused(objective, sampler, embeddings):
    with pytest.raises(ValueError, match=f"no sampler '{sampler}'"):
        make_pipeline(objective)(embeddings, num_inference_steps=2, sampler=sampler)


def test_outside_its_interval_guidance_takes_one_forward_pass_per_image(embeddings, noise):
    pipeline = make_pipeline()
    counts = []
    pipeline.denoiser.register_forward_pre_hook(lambda module, arguments: counts.append(len(arguments[0])))
    images = pipeline(embeddings, noise=noise, num_inference_steps=4, guidance_interval=(0.4, 0.8))  # 1, .75, .5, .25
    assert counts == [4, 8, 8, 4]
    everywhere, nowhere = (pipeline(embeddings, noise=noise, num_inference_steps=4, guidance=g) for g in (2.0, 1))
    assert not images.equal(everywhere)
    assert not images.equal(nowhere)
    never = pipeline(embeddings, noise=noise, num_inference_steps=4, guidance_interval=(0.9, 0.95))
    assert never.equal(nowhere)


def test_a_cross_attention_model_saves_loads_and_depends_on_its_token(tmp_path, embeddings, noise):
    pipeline = make_pipeline(denoiser="cross_attention", attention_levels=1)
    images = pipeline(embeddings, noise=noise, num_inference_steps=3)
    assert not images.equal(pipeline(embeddings.roll(1, 0), noise=noise, num_inference_steps=3))
    pipeline.save_pretrained(tmp_path)
    loaded = GenSISPipeline.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    assert loaded(embeddings, noise=noise, num_inference_steps=3).equal(images)


@pytest.mark.parametrize("kind", DENOISERS)
def test_a_model_that_does_not_tell_how_it_takes_the_condition_loads_by_its_provenance(
    tmp_path, embeddings, noise, kind
):
    pipeline = make_pipeline(denoiser=kind, attention_levels=1)
    pipeline.save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index.pop("condition") == find_denoiser(kind).condition
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    write_json(tmp_path / "provenance.json", {"settings": UNET | {"denoiser": kind}, "embedding_width": WIDTH})
    loaded = load_pipeline(tmp_path, WIDTH, torch.device("cpu"))
    arguments = {"noise": noise, "num_inference_steps": 3}
    assert loaded(embeddings, **arguments).equal(pipeline(embeddings, **arguments))
    with pytest.raises(UserError, match="dimension 6, not 7"):
        load_pipeline(tmp_path, 7, torch.device("cpu"))


def test_a_model_with_a_flipped_bit_in_its_weights_is_refused(tmp_path):
    make_pipeline().save_pretrained(tmp_path)
    write_provenance(tmp_path, {"settings": UNET, "embedding_width": WIDTH})
    weights = tmp_path / "denoiser/diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match=f"{weights} is damaged"):
        load_pipeline(tmp_path, WIDTH, torch.device("cpu"))


def test_the_generator_determines_the_noise(embeddings):
    pipeline = make_pipeline()
    first, again, other = (
        pipeline(embeddings, num_inference_steps=2, generator=torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )
    assert first.equal(again)
    assert not first.equal(other)


def test_latents_are_unscaled_before_decoding(embeddings):
    vae = small_vae()
    pipeline = make_pipeline(vae=vae)
    latents = torch.randn(4, 2, 8, 8)
    with torch.no_grad():
        expected = vae.decode(latents / 0.5 + 0.1).sample
        torch.testing.assert_close(pipeline._decode(latents), expected)
    assert pipeline(embeddings, num_inference_steps=2).shape == (4, 3, 16, 16)
    assert pipeline.image_px == 16


@pytest.mark.parametrize("objective", ["flow", "epsilon"])
@pytest.mark.parametrize("in_latents", [False, True])
def test_a_saved_model_loads_with_and_without_gensis_and_gives_equal_pixels(
    tmp_path, embeddings, objective, in_latents
):
    kind = "additive_embedding" if in_latents else "cross_attention"
    pipeline = make_pipeline(objective, small_vae() if in_latents else None, denoiser=kind)
    folder = tmp_path / "saved"
    pipeline.save_pretrained(folder)
    noise = torch.randn(4, *pipeline.noise_shape)
    expected = pipeline(embeddings, noise=noise, num_inference_steps=3)

    ours = GenSISPipeline.from_pretrained(folder, low_cpu_mem_usage=False)
    assert ours(embeddings, noise=noise, num_inference_steps=3).equal(expected)
    assert UNet2DConditionModel.from_pretrained(folder / "denoiser", low_cpu_mem_usage=False).config.in_channels
    scheduler_class = FlowMatchEulerDiscreteScheduler if objective == "flow" else DDIMScheduler
    scheduler = scheduler_class.from_pretrained(folder / "scheduler")
    assert scheduler.to_json_string() == ours.scheduler.to_json_string()
    if in_latents:
        assert AutoencoderKL.from_pretrained(folder / "vae", low_cpu_mem_usage=False).config.scaling_factor == 0.5

    if objective == "flow":  # a separate process, since gensis must not be needed
        torch.save((embeddings, noise), tmp_path / "given.pt")
        code = f"""
import torch
from diffusers import DiffusionPipeline
torch.set_num_threads({torch.get_num_threads()})
embeddings, noise = torch.load({str(tmp_path / "given.pt")!r})
images, folder = [], {str(folder)!r}
for source, options in [(folder, {{}}), (folder, {{"custom_pipeline": folder}}), ("again", {{}})]:
    pipeline = DiffusionPipeline.from_pretrained(source, trust_remote_code=True, **options)
    pipeline.save_pretrained("again")
    images.append(pipeline(embeddings, noise=noise, num_inference_steps=3))
torch.save(images, {str(tmp_path / "generated.pt")!r})
pipeline(embeddings, noise=noise, num_inference_steps=3, sampler="dpm++", guidance_interval=(0.2, 0.8))
"""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
        subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)
        assert all(images.equal(expected) for images in torch.load(tmp_path / "generated.pt"))


@pytest.mark.parametrize(
    "settings", [{"guidance": 4.0}, {"guidance_interval": (0.3, 0.8)}, {"sampling_steps": 2}, {"sampler": "dpm++"}]
)
def test_a_bank_is_generated_with_its_own_sampling_settings(embeddings, noise, settings):
    pipeline, alpha = make_pipeline(), torch.full((4,), 0.25)
    given = {"sampling_steps": 4} | settings
    options = {"num_inference_steps" if name == "sampling_steps" else name: value for name, value in given.items()}
    expected = pipeline(embeddings, embeddings.flip(0), alpha, noise=noise, **options)
    found, plain = (
        generate_function(pipeline, Bank(**each))(embeddings, embeddings.flip(0), alpha, noise)
        for each in (given, {"sampling_steps": 4})
    )
    assert found.equal(expected)
    assert not found.equal(plain)
