import numpy as np
import pytest
import torch
from tests.diffusion.tiny import UNET

from gensis.bank.generation import encode_batches, even_batch_size, generate_plan
from gensis.bank.plan import plan_generative, plan_interpolated
from gensis.bank.shards import shard_sources
from gensis.diffusion.denoiser import create_denoiser
from gensis.diffusion.objective import make_scheduler
from gensis.diffusion.pipeline import GenSISPipeline
from gensis.settings.diffusion import Diffusion

IMAGES = 11
EMBEDDINGS = torch.randn(IMAGES, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def pipeline():
    torch.manual_seed(0)
    denoiser = create_denoiser(Diffusion(**(UNET | {"attention_levels": 1})), (3, 16, 16), 6)
    denoiser.conv_out.weight.data *= 10
    return GenSISPipeline(denoiser, make_scheduler("flow", True))


def generated(pipeline, plan, batch_size, embeddings=EMBEDDINGS, threads=1, sampler="auto"):
    def generate(embeddings, partners, alpha, noise):
        assert len(embeddings) == len(noise) == batch_size
        return pipeline(embeddings, partners, alpha, 2.0, 3, noise, sampler=sampler)

    options = {"noise_shape": pipeline.noise_shape, "generate": generate, "batch_size": batch_size, "threads": threads}
    batches = list(generate_plan(plan, embeddings, **options))
    return np.concatenate(batches) if batches else np.zeros((0, 16, 16, 3), np.uint8)


@pytest.mark.parametrize("shards", [2, 3, 20])
@pytest.mark.parametrize("kind", ["generative", "interpolated"])
def test_number_of_shards_changes_no_pixel(pipeline, kind, shards):
    def plan(sources):
        if kind == "generative":
            return plan_generative(sources, 2, 5)
        return plan_interpolated(sources, IMAGES, (0.3, 0.6), 5)

    whole = generated(pipeline, plan(range(IMAGES)), 4)
    parts = [generated(pipeline, plan(shard_sources(IMAGES, shard, shards)), 4) for shard in range(shards)]
    assert whole.shape == (2 * IMAGES, 16, 16, 3)
    assert np.array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("sampler", ["auto", "heun"])
def test_number_of_threads_changes_no_pixel(pipeline, sampler, threads):
    plan = plan_interpolated(range(IMAGES), IMAGES, (0.3, 0.6), 5)
    one, several = (generated(pipeline, plan, 4, threads=count, sampler=sampler) for count in (1, threads))
    assert np.array_equal(one, several)


def test_batch_size_changes_few_values_by_at_most_one_grey_level(pipeline):
    plan = plan_generative(range(IMAGES), 2, 5)
    one, other = generated(pipeline, plan, 22).astype(int), generated(pipeline, plan, 3).astype(int)
    assert np.abs(one - other).max() <= 1
    assert (one != other).mean() <= 0.001


@pytest.mark.parametrize(
    ("images", "largest", "size"), [(260, 256, 130), (256, 256, 256), (10, 256, 10), (1, 8, 1), (9, 4, 3)]
)
def test_batches_are_even(images, largest, size):
    assert even_batch_size(images, largest) == size


def test_an_image_comes_from_its_own_embeddings_alpha_and_noise(pipeline):
    plan = plan_interpolated(range(IMAGES), IMAGES, (0.25,), 5)
    noise = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(int(plan.seed[6])))
    source, partner = EMBEDDINGS[6:7], EMBEDDINGS[plan.partner[6]].unsqueeze(0)
    expected = pipeline(source, partner, 0.25, 2.0, 3, noise.unsqueeze(0))[0].permute(1, 2, 0).numpy()
    difference = generated(pipeline, plan, 4)[6].astype(int) - expected
    assert np.abs(difference).max() <= 1


def test_encoding_keeps_the_order_and_limits_waiting_batches():
    taken = []

    def batches():
        for start in range(0, 40, 8):
            taken.append(start)
            yield np.arange(start, start + 8, dtype=np.uint8)[:, None]

    encoded = encode_batches(batches(), lambda image: image.tobytes(), threads=4)
    assert next(encoded) == b"\x00"
    assert taken == [0, 8]
    assert list(encoded) == [bytes([value]) for value in range(1, 40)]
