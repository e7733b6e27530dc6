"""Memory and time of cluster jobs follow from numbers that a reader can check."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from tests.planning.tiny import IMAGES, tiny_study
from torch.utils.flop_counter import FlopCounterMode

from gensis.diffusion.denoiser import create_denoiser, find_denoiser
from gensis.diffusion.pipeline import condition_arguments
from gensis.planning import jobs, memory
from gensis.planning.networks import (
    VIT_S16_GFLOP,
    backbone_cost,
    embedding_width,
    unet_cost,
    weights_bytes,
    weights_of,
    width_of,
)
from gensis.planning.works import works
from gensis.settings.diffusion import Diffusion
from gensis.settings.study import load_study
from gensis.ssl.backbone import create_backbone

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("backbone", "arguments", "width"),
    [
        ("vit_small_patch16_224", {}, 384),
        ("vit_base_patch14_dinov2", {}, 768),
        ("vit_tiny_patch16_224", {"embed_dim": 96}, 96),
        ("eva02_large_patch14_448", {}, 1024),
        ("deit3_base_patch16_224", {}, 768),
        ("resnet18_cifar", {}, 512),
        ("resnet18_cifar", {"channels": [16, 32, 64, 128]}, 128),
        ("resnet50", {}, 2048),
        ("unheard_of", {}, 2048),
    ],
)
def test_the_dimension_of_an_embedding_is_read_from_its_name(backbone, arguments, width):
    assert embedding_width(backbone, arguments) == width


@pytest.mark.parametrize("given", [None, 0, -4, "4", "four", [], [4, None], {}, True, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["patch_size", "depth", "embed_dim", "channels"])
def test_an_argument_that_is_no_positive_number_is_estimated_as_its_default(name, given):
    for backbone in ("vit_small_patch16_224", "resnet18_cifar"):
        changed, plain = tiny_training(backbone, {name: given}), tiny_training(backbone, {})
        assert estimates(changed) == estimates(plain)


def test_a_patch_may_be_given_by_both_of_its_sides():
    pair, number = (tiny_training("vit_small_patch16_224", {"patch_size": size}) for size in ([4, 4], 4))
    assert estimates(pair) == estimates(number)


def tiny_training(backbone, arguments):
    pretraining = tiny_study().pretraining.model_dump() | {"backbone": backbone, "backbone_args": arguments}
    return tiny_study(pretraining=pretraining)


def estimates(study):
    """Memory and time of the jobs of a study, and the dimension of its embeddings."""
    return (
        memory.training_bytes(study, "dino", 1_000_000, image_px=16, gpus=0),
        jobs.encoder_minutes(study, "dino", 1_000_000, 0),
        width_of(study, "dino"),
    )


def test_a_cost_of_one_is_vit_s_16_at_224_px():
    assert backbone_cost("vit_small_patch16_224", {}, 224) == pytest.approx(1, abs=0.05)
    assert backbone_cost("vit_base_patch16_224", {}, 224) == pytest.approx(17.6 / 4.6, rel=0.05)  # GMACs, Touvron 2021
    assert backbone_cost("vit_small_patch16_224", {}, 96) == pytest.approx((96 / 224) ** 2, rel=0.1)


def counted_gflop(network, *inputs, **keywords):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(*inputs, **keywords)
    return counter.get_total_flops() / 1e9


@pytest.mark.parametrize("changes", [{}, {"channels": (16, 32, 64), "layers_per_block": 1}])
def test_the_arithmetic_of_a_unet_is_that_of_its_layers(changes):
    settings = Diffusion(attention_levels=0, **changes)
    unet = create_denoiser(settings, (3, 32, 32), 64)
    conditions = condition_arguments(find_denoiser(settings.denoiser).condition, torch.zeros(1, 64))
    counted = counted_gflop(unet, torch.zeros(1, 3, 32, 32), torch.zeros(1), **conditions)
    cost = unet_cost(settings.channels, settings.layers_per_block, 32)
    assert VIT_S16_GFLOP * cost == pytest.approx(counted, rel=0.2)


@pytest.mark.parametrize(
    ("backbone", "arguments", "px"),
    [
        ("vit_tiny_patch16_224", {"patch_size": 4, "depth": 4}, 32),
        ("resnet18_cifar", {}, 32),
        ("resnet18_cifar", {"channels": (16, 32, 64, 128)}, 32),
        ("resnet50", {}, 64),
    ],
)
def test_the_arithmetic_of_a_backbone_is_that_of_its_layers(backbone, arguments, px):
    network, _ = create_backbone(backbone, px, arguments)
    counted = counted_gflop(network.eval(), torch.zeros(1, 3, px, px))
    assert VIT_S16_GFLOP * backbone_cost(backbone, arguments, px) == pytest.approx(counted, rel=0.25)


def test_images_are_held_if_they_fit_in_the_cache():
    assert memory.held_bytes(1000, 100, image_cache_gb=8.0) == 30_000_000
    assert memory.held_bytes(1_000_000, 100, image_cache_gb=8.0) == 0


def test_more_images_and_larger_batches_take_more_memory_on_a_cpu():
    study, large = tiny_study(), tiny_study(pretraining=tiny_study().pretraining.model_dump() | {"batch_size": 80})

    def bytes_of(study, images, gpus=0):
        return memory.training_bytes(study, "dino", images, image_px=16, gpus=gpus)

    held = bytes_of(study, 1_000_000) - bytes_of(study, 1000)
    assert held == 999_000 * (3 * 16 * 16 + memory.TABLES)
    assert bytes_of(large, 1000) > bytes_of(study, 1000)
    assert bytes_of(study, 1000, gpus=1) - bytes_of(study, 0, gpus=1) == 1000 * memory.TABLES  # images are on the GPU


def test_a_checkpoint_holds_four_copies_of_the_weights():
    assert weights_bytes("vit_small_patch16_224", {}) == pytest.approx(4 * 21.7e6, rel=0.03)  # 21.7 million weights
    assert weights_bytes("vit_large_patch16_224", {}) == pytest.approx(4 * 303e6, rel=0.03)


def test_megabytes_are_whole_gigabytes_with_a_margin_of_half():
    assert [jobs.megabytes(size) for size in (1, 2e9, 2.1e9)] == [1000, 3000, 4000]


def test_retries_ask_for_twice_the_memory():
    assert [jobs.megabytes(2.1e9, attempt) for attempt in (1, 2, 3)] == [4000, 8000, 8000]


def test_retries_of_jobs_that_do_not_resume_ask_for_twice_the_time():
    assert [jobs.evaluation_minutes(1000, 1000, attempt) for attempt in (1, 2, 3)] == [90, 180, 180]
    of_embedding = [jobs.embedding_minutes(tiny_study(), "dino", 1000, gpus=1, attempt=each) for each in (1, 2, 3)]
    assert of_embedding == [60, 120, 120]


def test_an_embedding_asks_for_what_the_network_of_its_own_encoder_needs():
    names = {"small": "vit_small_patch16_224.dino", "giant": "vit_giant_patch14_224"}
    study = tiny_study(encoders={name: {"timm": timm} for name, timm in names.items()} | {"folder": {"path": "any"}})
    encoders = ("pixels", "dino", "small", "giant")
    times = [jobs.embedding_minutes(study, each, 10_000_000, gpus=1, attempt=1) for each in encoders]
    assert times == sorted(times)
    assert times[3] > 20 * times[2]
    without = memory.inference_bytes(study, image_px=224, gpus=1)
    own = {name: memory.embedding_bytes(study, name, image_px=224, gpus=1) - without for name in (*encoders, "folder")}
    assert own["giant"] == pytest.approx(2 * 4 * 1.1e9, rel=0.1)  # 1.1 billion weights, twice while they are loaded
    assert own["pixels"] == 0
    assert own["folder"] == own["small"]  # not known: taken for ViT-S


def test_an_encoder_in_a_folder_is_as_large_as_its_config_says(tmp_path):
    config = {"architecture": "vit_giant_patch14_reg4_dinov2", "pretrained_cfg": {"input_size": [3, 224, 224]}}
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_args": {"depth": 24}}))
    study = tiny_study(encoders={"own": {"path": str(tmp_path)}, "named": {"timm": "vit_giant_patch14_224"}})
    own, named = (weights_of(study, name) for name in ("own", "named"))
    assert own == pytest.approx(named * 24 / 40)
    assert jobs.embedding_minutes(study, "own", 10_000_000, gpus=1, attempt=1) > 600


def test_minutes_are_multiples_of_thirty_shared_by_gpus_and_limited():
    hour = 2000 * 3600  # passes of a GPU
    assert [jobs.minutes(passes, 1) for passes in (0, 1, hour, hour + 1)] == [30, 60, 90, 120]
    assert jobs.minutes(hour, 2) == 60
    assert jobs.minutes(36_000, 0) == 90  # an hour on CPUs, at ten a second
    assert jobs.minutes(1000 * hour, 1) == 2880


def test_a_shard_takes_its_share_of_the_time_of_a_bank():
    study = tiny_study()
    whole = study.banks["default"].model_copy(update={"shards": 1, "sampling_steps": 50})
    halves = whole.model_copy(update={"shards": 2})
    images = 3_000_000
    times = [jobs.generation_minutes(study, bank, images, 0) - jobs.START_MINUTES for bank in (whole, halves)]
    assert 30 < times[1] < times[0]
    assert times[1] == pytest.approx(times[0] / 2, abs=jobs.START_MINUTES)


def test_every_process_of_a_training_may_hold_a_checkpoint_of_its_network():
    study, widths = tiny_study(), [192, 384, 576, 960]
    paper = {"denoiser": "cross_attention", "channels": widths, "layers_per_block": 2, "attention_levels": 3}
    large = tiny_study(diffusion=study.diffusion.model_dump() | paper)
    parameters = 401e6
    sizes = {"width": 384, "image_px": 32}
    for gpus in (1, 4):
        needed = memory.diffusion_bytes(large, 1000, gpus=gpus, **sizes)
        assert needed >= gpus * (4 * 4 * parameters + memory.LIBRARIES)
        assert needed - memory.diffusion_bytes(study, 1000, gpus=gpus, **sizes) < gpus * 4 * 4 * parameters * 1.1
    of_bank = memory.bank_bytes(large, large.banks["default"], 10, image_px=32, gpus=1)
    assert of_bank - memory.inference_bytes(large, image_px=32, gpus=1) == pytest.approx(2 * 4 * parameters, rel=0.1)
    images = [memory.training_bytes(study, "dino", 1000, image_px=32, gpus=gpus) for gpus in (0, 1, 4)]
    assert images[2] > images[1]


def test_evaluation_holds_all_embeddings():
    assert memory.embeddings_bytes(1_280_000, 384) == pytest.approx(1.97e9, rel=0.01)
    assert memory.evaluation_bytes(1_280_000, 384, gpus=0) > 3 * 1.9e9


@pytest.mark.parametrize(
    ("changes", "copies"),
    [
        ({}, 0),
        ({"toward_neighbour": {}}, 1),
        ({"kind": "neighbours"}, 1),
        ({"kind": "sources"}, 0),
    ],
)
def test_a_bank_holds_all_embeddings_only_where_it_searches_them(changes, copies):
    arm = {"bank": "default", "disentangle_weight": 0}
    study = tiny_study(banks={"default": changes}, retraining={"arm": arm})
    bank, width = study.banks["default"], 24
    for gpus in (0, 1):
        none, many = (memory.bank_bytes(study, bank, images, image_px=16, gpus=gpus) for images in (0, 1_000_000))
        held = copies if gpus else 2 * copies  # the CPU holds the normalised embeddings as well
        planned = memory.PLANNED * 1_000_000 * bank.images_per_source // bank.shards
        assert many - none == planned + held * 4 * 1_000_000 * width
    work = next(work for work in works(study, {"pictures": IMAGES}) if work.stage == "bank default")
    assert work.memory_bytes == memory.bank_bytes(study, bank, 20, image_px=16, gpus=0)


def test_trainings_ask_for_what_the_page_of_profiles_says():
    page = (ROOT / "profiles" / "README.md").read_text()
    study = load_study(yaml.safe_load((ROOT / "config" / "cifar10.yaml").read_text()))
    encoder = jobs.megabytes(memory.training_bytes(study, "dino", 50_000, image_px=32, gpus=1))
    denoiser = jobs.megabytes(memory.diffusion_bytes(study, 50_000, width=192, image_px=32, gpus=1))
    minutes = jobs.encoder_minutes(study, "dino", 50_000, 1), jobs.diffusion_minutes(study, 1)
    assert f"asks for {encoder // 1000} GB and {minutes[0]} minutes" in page
    assert f"`train_diffusion` for {denoiser // 1000} GB and {minutes[1]} minutes" in page
    large = load_study(yaml.safe_load((ROOT / "config" / "panda.yaml").read_text()))
    tiles = jobs.megabytes(memory.training_bytes(large, "dino", 100_000_000, image_px=256, gpus=1))
    assert f"{tiles // 1000} GB and {jobs.encoder_minutes(large, 'dino', 100_000_000, 1):,} minutes" in page
