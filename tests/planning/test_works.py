"""The works of a study count what its stages really do."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.planning.tiny import IMAGES, tiny_study

from gensis.bank.generation import generate_plan
from gensis.bank.plan import plan_generative, plan_interpolated
from gensis.diffusion.loading import generate_function
from gensis.planning.images import ImageSet
from gensis.planning.noise import NoiseFeatures, NoiseImages
from gensis.planning.trials import Bench
from gensis.planning.work import THREADS
from gensis.planning.works import works
from gensis.ssl.pretrainer import Pretrainer
from gensis.training.distributed import World

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


def works_of(study, kind):
    return [work for work in works(study, {"pictures": IMAGES}) if work.kind == kind]


def test_a_training_makes_the_passes_that_its_work_counts():
    study = tiny_study()
    trainer = Pretrainer(study.pretraining, NoiseImages(IMAGES.train, 16, CPU), device=CPU, world=World(), seed=0)
    seen = {"passes": 0.0}

    def count(network, inputs, output):
        weight = 3 if output.requires_grad else 1  # a backward pass counts as two
        seen["passes"] += weight * len(inputs[0]) * inputs[0].shape[-1] ** 2 / 16**2

    for network in (trainer.method.student, trainer.method.teacher):
        network.backbone.register_forward_hook(count)
    for step in range(trainer.total_steps):
        trainer.step(step)
    baseline, _ = works_of(study, "train encoder")
    assert baseline.units == pytest.approx(seen["passes"])
    assert baseline.images == trainer.total_steps * trainer.images_per_step == 32


@pytest.mark.parametrize(
    "bank", [{"sampling_steps": 3}, {"sampling_steps": 2, "guidance": 1}, {"sampler": "heun", "sampling_steps": 2}]
)
def test_a_bank_takes_the_denoiser_passes_that_its_work_counts(bank):
    study = tiny_study(banks={"default": bank})
    work, in_evaluation = works_of(study, "generate bank")
    bench = Bench(study, IMAGES, CPU, 1)
    seen = {"passes": 0}

    def count(network, inputs, keywords, output):
        seen["passes"] += len(output.sample)

    pipeline = bench.pipeline()
    pipeline.denoiser.register_forward_hook(count, with_kwargs=True)
    features = NoiseFeatures(IMAGES.train, 24, CPU)
    options = {
        "noise_shape": pipeline.noise_shape,
        "batch_size": 4,
        "generate": generate_function(pipeline, study.banks["default"]),
    }
    for plan in (plan_generative(range(20), 1, 0), plan_interpolated(range(20), 20, (0.5,), 0)):
        list(generate_plan(plan, features, **options))
    assert work.units == seen["passes"]
    assert work.images == 40
    assert in_evaluation.images == 2 * 10 + 12  # two of each of ten sources, one of each held-out image


def test_a_latent_diffusion_model_is_tried_in_latents():
    study = tiny_study(autoencoder="train", autoencoder_training={"channels": [8, 16], "batch_size": 4})
    bench, seen = Bench(study, IMAGES, CPU, 1), {}
    for kind in ("train autoencoder", "train diffusion", "generate bank"):
        work = works_of(study, kind)[0]
        trial = bench.trial(work, 2)
        trial.run()
        seen[kind] = trial.units
    assert seen == {"train autoencoder": 2 * 3, "train diffusion": 2 * 3, "generate bank": 2 * 4}
    assert bench.pipeline().noise_shape == (4, 8, 8)


def test_work_is_for_one_seed_and_says_for_how_many_it_is_done():
    study = tiny_study(seeds=[0, 1, 2], banks={"default": {"seed": 1}})
    found = works(study, {"pictures": IMAGES})
    assert {work.kind: work.seeds for work in found if work.kind != "embed images"} == {
        "import images": 1,
        "train encoder": 3,
        "train diffusion": 1,
        "generate bank": 1,
        "evaluate": 3,
    }
    embedded = {work.subject: work.seeds for work in found if work.stage == "embeddings"}
    assert embedded == {"dino": 3, "gen-dino": 3, "random": 3, "pixels": 1}


def test_embeddings_take_four_bytes_a_value():
    dino, *_ = [work for work in works_of(tiny_study(), "embed images") if work.stage == "embeddings"]
    assert (dino.images, dino.disk_bytes) == (32, 32 * 24 * 4)


def test_a_shard_of_a_bank_takes_twice_its_size_besides_while_it_is_generated():
    generated, copied = (
        next(work for work in works(study, {"pictures": IMAGES}) if work.stage == "bank default")
        for study in (
            tiny_study(),
            tiny_study(banks={"default": {"kind": "sources"}}, retraining={}),
        )
    )
    assert generated.temporary_bytes == 2 * generated.disk_bytes / 2  # two shards
    assert copied.temporary_bytes == 0


def test_corrupted_test_images_and_mirrored_ones_are_embedded_too():
    plain, corrupted, mirrored = (
        next(work.images for work in works_of(study, "embed images") if work.stage == "embeddings")
        for study in (
            tiny_study(),
            tiny_study(evaluation={"datasets": ["pictures"], "corruptions": ["blur"]}),
            tiny_study(embedding={"flips": True}),
        )
    )
    assert (plain, corrupted, mirrored) == (32, 32 + 5 * 12, 64)


def test_a_transfer_is_counted_like_an_evaluation_with_the_train_images_of_one_and_the_test_images_of_the_other():
    datasets = {name: {"kind": "folder", "path": name} for name in ("pictures", "others")}
    evaluation = {"datasets": ["pictures", "others"], "knn": [3], "transfer": [{"fit": "pictures", "test": ["others"]}]}
    study = tiny_study(datasets=datasets, evaluation=evaluation)
    others = ImageSet(units=1, train=40, image_px=16, bytes_per_image=1.0)
    found = [work for work in works(study, {"pictures": IMAGES, "others": others}) if work.kind == "evaluate"]
    of_transfer = {work.subject: work for work in found if work.dataset == "pictures-to-others"}
    assert {task: work.units for task, work in of_transfer.items()} == {
        "knn": 40 * IMAGES.train,
        "linear": 40 + IMAGES.train,
    }
    assert of_transfer["knn"].jobs == 1


def test_jobs_have_the_threads_of_their_rules():
    text = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    rules = dict(re.findall(r"^rule (\w+):\n((?:[ \t].*\n|\n)*)", text, re.MULTILINE))
    rule = {"train encoder": "pretrain_encoder", "evaluate": "evaluate_encoder", "tile slides": "tile_slide"}
    for kind, threads in THREADS.items():
        found = re.search(r"^    threads: (\d+)", rules[rule.get(kind, kind.replace(" ", "_"))], re.MULTILINE)
        assert threads == (int(found[1]) if found else 1), kind


def test_planning_imports_no_torch():
    modules = "gensis.planning.works, gensis.planning.jobs, gensis.planning.table, gensis.planning.images"
    code = f"import sys; sys.path.insert(0, 'workflow/scripts'); import {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
