"""Every source of random numbers depends on the seed, or is listed with the reason why all seeds share its draws."""

import ast
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.diffusion.tiny import HELD, UNET, open_features, open_pixels, write_dataset
from tests.evaluation.test_evaluate_bank import made, measured  # noqa: F401
from tests.ssl.conftest import TINY

from gensis.bank import generation
from gensis.bank.plan import plan_generative, plan_interpolated
from gensis.command import parser
from gensis.diffusion.autoencoder_trainer import AutoencoderTrainer
from gensis.diffusion.held_out import HeldOut
from gensis.diffusion.trainer import DiffusionTrainer
from gensis.evaluation import mil
from gensis.evaluation.bank_quality import Subject
from gensis.evaluation.bank_sample import _draw, draw_sample, shuffled
from gensis.evaluation.copying import draw_reference
from gensis.evaluation.judged_views import Judge, show
from gensis.evaluation.objectives import classification
from gensis.evaluation.reference_images import draw_references
from gensis.evaluation.tasks.abmil import GatedAttention
from gensis.evaluation.tasks.linear_sgd import fit_linear_sgd
from gensis.images.index import read_index
from gensis.settings.autoencoder_training import AutoencoderTraining
from gensis.settings.bank import UniformAlphas
from gensis.settings.base import SEEDS
from gensis.settings.diffusion import Diffusion
from gensis.settings.evaluation import Evaluation
from gensis.settings.pretraining import Pretraining, Retraining
from gensis.slides.drawing import draw_slide
from gensis.ssl.auto import resolve, view_recipes
from gensis.ssl.backbone import create_backbone, save_encoder
from gensis.ssl.bank_images import SyntheticImages, other_rows
from gensis.ssl.batch_plan import Chooser
from gensis.ssl.monitor import Monitor
from gensis.ssl.preprocessing import Preprocessing
from gensis.ssl.pretrainer import Pretrainer
from gensis.ssl.rates import disentangles_at
from gensis.ssl.untrained import untrained_encoder
from gensis.training import sampler
from gensis.training.checkpoints import CheckpointFolder
from gensis.training.distributed import World
from gensis.training.loop import step_seed, train
from gensis.training.sampler import Sampler

SCRIPTS = Path(__file__).parents[1] / "workflow" / "scripts"
MAKERS = {"manual_seed", "default_rng", "SeedSequence", "RandomState", "Random"}
CPU, WORLD, IMAGES, PX, WIDTH = torch.device("cpu"), World(), 24, 16, 6
PRETRAINING = Pretraining.model_validate(TINY)


class Draw:
    """A training whose loss is a random number that torch draws in the step."""

    total_steps = steps_per_row = images_per_step = 1

    def step(self, step):
        return {"loss": torch.rand(())}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, made):  # noqa: F811
    folder = tmp_path_factory.mktemp("seeds")
    train = write_dataset(folder, IMAGES, PX)
    features = np.random.default_rng(0).normal(size=(IMAGES, WIDTH)).astype(np.float32)
    backbone, given = create_backbone(PRETRAINING.backbone, PX, PRETRAINING.backbone_args)
    of_images = Preprocessing((PX, PX), (0.5,) * 3, (0.25,) * 3)
    save_encoder(backbone, folder / "encoder", name=PRETRAINING.backbone, arguments=given, preprocessing=of_images)
    (folder / "interpolated").mkdir()
    (folder / "interpolated/interpolated-0000.h5").symlink_to(made / "bank/interpolated-0000.h5")
    return SimpleNamespace(
        folder=folder,
        index=read_index(train),
        pixels=open_pixels(train, PX),
        features=open_features(train, features),
        made=made,
        interpolated_bank=folder / "interpolated",
    )


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Lower the limits on numbers of images, so that the tiny data set exceeds them and images are drawn."""
    monkeypatch.setattr("gensis.evaluation.copying.NEIGHBOURS_AMONG", 8)
    monkeypatch.setattr("gensis.ssl.monitor._IMAGES", 8)


def weights(module):
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def epoch(images, seed, **options):
    sampler = Sampler(images, 1, seed=seed, **options)
    return torch.cat([sampler.rows(step) for step in range(images)])


def in_small_windows(seed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampler, "WINDOW", 40)
        patch.setattr(sampler, "RUN", 4)
        return epoch(100, seed)


def four_images_each():
    empty = dict.fromkeys(("partner", "alpha", "copied"), torch.empty(0))
    return SyntheticImages(images=None, order=None, first=torch.arange(0, 4 * IMAGES + 1, 4), **empty)


def of_bank(seed):
    """Rows of the bank images that are drawn for each source, and the views that they are used for."""
    settings = Retraining.model_validate(TINY | {"bank": "b", "disentangle_weight": 0})
    pairs = (
        Chooser(settings, None, generative=four_images_each(), interpolated=None, seed=seed, rank=0, steps=4)
        .choose(torch.arange(IMAGES), 0)
        .pairs
    )
    return torch.cat([pairs.synthetic.rows, pairs.slot])


def pretrainer(tiny, seed):
    return Pretrainer(PRETRAINING, HELD(tiny.index), device=CPU, world=WORLD, seed=seed)


def monitored(tiny, seed):
    """RankMe of the monitor's views, with the same network for every seed."""
    monitor = Monitor(pretrainer(tiny, 0), seed, 1, lambda step, embeddings: None)
    row = monitor({"step": monitor._pretrainer.total_steps, "teacher_entropy": 1, "teacher_batch_entropy": 2})
    return [row["rankme"]]


def plans(seed):
    generative = plan_generative(range(9), 2, seed)
    interpolated = plan_interpolated(range(9), 99, UniformAlphas(uniform=(0, 1)), seed)
    return np.concatenate([generative.seed, interpolated.seed, interpolated.partner, interpolated.alpha])


def classified(seed):
    bags = list(np.random.default_rng(0).normal(size=(6, 3, 4)).astype(np.float32))
    settings = Evaluation(mil_epochs=1, mil_seeds=1, mil_batch_size=2)
    known = {"objective": classification(np.arange(6) % 2, 2), "groups": np.arange(6) % 2}
    return mil.predict_bags(GatedAttention, bags, bags, **known, settings=settings, seed=seed, device=CPU)[0]


def fitted(seed):
    views = np.random.default_rng(0).normal(size=(2, 8, 4)).astype(np.float32)
    return weights(fit_linear_sgd(tuple(views), np.arange(8) % 2, 2, train=np.arange(8), seed=seed, device=CPU))


def trained(tiny, seed):
    folder = CheckpointFolder(tiny.folder, "draw", str(seed))
    return train(Draw(), folder, WORLD, CPU, seed=seed, checkpoint_seconds=1e9)[0]["loss"]


def bank_quality(tiny, seed):
    """Ceilings for a bank of interpolated images only; they are measured on views of the sources."""
    options = {"labels": None, "evaluation": Evaluation(bootstrap=10), "held_out": [], "bank": tiny.interpolated_bank}
    return [figure["ceiling"] for figure in measured(tiny.made, seed=seed, **options)["figures"]]


def shown(tiny, seed):
    """Views of the same sources, in pixels."""
    nothing = dict.fromkeys(("held_out", "spaces", "reference", "generate", "interpolate", "classes"))
    features = np.random.default_rng(0).normal(size=(IMAGES, WIDTH)).astype(np.float32)
    subject = Subject(
        banks={},
        sample=draw_sample({}, IMAGES, IMAGES, 0),
        images=tiny.pixels.images,
        features=features,
        recipe=view_recipes(resolve(PRETRAINING, IMAGES, 1, {}).settings.views, PX)[0],
        seed=seed,
        resamples=0,
        device=CPU,
        **nothing,
    )
    return show(subject, Judge(lambda images: images.flatten(1), features), np.zeros(IMAGES, int))[0]


def references(tiny, seed):
    features = np.random.default_rng(0).normal(size=(IMAGES, WIDTH)).astype(np.float32)
    return list(draw_references(features, np.arange(IMAGES) % 2, np.arange(IMAGES), seed=seed, device=CPU).values())


SOURCES = {
    "gensis/bank/generation.py _noise": lambda tiny, seed: generation._noise(seed, (3, 4, 4)),
    "gensis/bank/plan.py _draw": lambda tiny, seed: plans(seed),
    "gensis/diffusion/autoencoder_trainer.py AutoencoderTrainer.__init__": lambda tiny, seed: weights(
        AutoencoderTrainer(AutoencoderTraining(channels=(8, 16)), tiny.pixels, device=CPU, world=WORLD, seed=seed).vae
    ),
    "gensis/diffusion/held_out.py HeldOut.__init__": lambda tiny, seed: HeldOut(1000, seed).rows,
    "gensis/diffusion/trainer.py DiffusionTrainer.__init__": lambda tiny, seed: weights(
        DiffusionTrainer(Diffusion(**UNET), tiny.pixels, tiny.features, device=CPU, world=WORLD, seed=seed).denoiser
    ),
    "gensis/evaluation/bank_quality.py _measure": bank_quality,
    "gensis/evaluation/bank_sample.py _draw": lambda tiny, seed: _draw(four_images_each(), np.arange(IMAGES), seed),
    "gensis/evaluation/bank_sample.py shuffled": lambda tiny, seed: shuffled(IMAGES, seed),
    "gensis/evaluation/copying.py draw_reference": lambda tiny, seed: draw_reference(tiny.pixels.images, seed, 8).rows,
    "gensis/evaluation/tasks/linear_sgd.py fit_linear_sgd": lambda tiny, seed: fitted(seed),
    "gensis/evaluation/judged_views.py show": shown,
    "gensis/evaluation/reference_images.py draw_references": references,
    "gensis/evaluation/mil.py _fit": lambda tiny, seed: classified(seed),
    "gensis/evaluation/mil.py _initialised": lambda tiny, seed: weights(mil._initialised(GatedAttention, 4, 2, seed)),
    "gensis/slides/drawing.py draw_slide": lambda tiny, seed: draw_slide(
        "lymphoid", width_px=64, height_px=64, seed=seed
    ),
    "gensis/ssl/bank_images.py other_rows": lambda tiny, seed: other_rows(IMAGES, seed),
    "gensis/ssl/batch_plan.py Chooser.choose": lambda tiny, seed: of_bank(seed),
    "gensis/ssl/monitor.py Monitor.__init__": lambda tiny, seed: Monitor(pretrainer(tiny, 0), seed, 1, None).rows,
    "gensis/ssl/monitor.py Monitor._embeddings": monitored,
    "gensis/ssl/pretrainer.py Pretrainer.__init__": lambda tiny, seed: weights(pretrainer(tiny, seed).method.student),
    "gensis/ssl/rates.py disentangles_at": lambda tiny, seed: [
        disentangles_at(step, seed, Retraining(**TINY, bank="b", disentangle_probability=0.5)) for step in range(64)
    ],
    "gensis/ssl/untrained.py untrained_encoder": lambda tiny, seed: weights(untrained_encoder(PRETRAINING, seed)),
    "gensis/training/loop.py step_seed": lambda tiny, seed: [step_seed(seed, 0) % 2**32],  # what torch's CPU reads
    "gensis/training/loop.py train": trained,
    "gensis/training/sampler.py Sampler._balanced": lambda tiny, seed: epoch(60, seed, first_rows=np.array([0, 40])),
    "gensis/training/sampler.py Sampler._in_runs Sampler._mixed_in_windows": lambda tiny, seed: in_small_windows(seed),
    "gensis/training/sampler.py _permutation": lambda tiny, seed: epoch(60, seed),
}
"""File and functions that seed a generator -> the values drawn there with a seed."""

OF_IMAGES = "seeded by the image, so that every encoder is tested on the same corruptions"
OF_PLANS = "what a plan is measured with; no result depends on it"
SHARED = {
    "gensis/augment/corruptions/blur.py Glass.__call__": OF_IMAGES,
    "gensis/augment/corruptions/blur.py Motion.__call__": OF_IMAGES,
    "gensis/augment/corruptions/digital.py Elastic.__call__": OF_IMAGES,
    "gensis/augment/corruptions/digital.py Stain.__call__": OF_IMAGES,
    "gensis/augment/corruptions/noise.py GaussianNoise.__call__": OF_IMAGES,
    "gensis/augment/corruptions/noise.py ImpulseNoise.__call__": OF_IMAGES,
    "gensis/augment/corruptions/noise.py ShotNoise.__call__": OF_IMAGES,
    "gensis/augment/corruptions/weather.py Snow.__call__": OF_IMAGES,
    "gensis/augment/corruptions/weather.py _clouds": OF_IMAGES,
    "gensis/evaluation/bootstrap.py _weightings": "intervals of all encoders and seeds use the same resamples",
    "gensis/evaluation/folds.py grouped_folds": "all encoders and seeds are evaluated on the same folds",
    "gensis/evaluation/group_flips.py flipped_p": "all pairs are tested with the same flips",
    "gensis/evaluation/tasks/low_label.py draws": "probes of all encoders and seeds are trained with the same labels",
    "gensis/images/sources.py selection": "`max_images` and `image_range` select the images of a data set, made once",
    "gensis/planning/noise.py NoiseFeatures.__init__ _pixels": OF_PLANS,
    "gensis/planning/trial_evaluation.py random_embeddings": OF_PLANS,
    "gensis/planning/trials.py Bench.autoencoder": OF_PLANS,
    "gensis/slides/layout.py _choose": "`tiles_per_slide` is part of the data set; seeded by the slide's name",
}
"""Functions whose draws are the same for all seeds -> the reason."""


def seeding_functions(path):
    """Names of a file's functions that call one of MAKERS, pass a `random_state`, or key a permutation."""
    text = path.read_text()
    makers = MAKERS | ({"mixed_key"} if "from gensis.training.permutation import" in text else set())

    def visit(node, names):
        for child in ast.iter_child_nodes(node):
            inner = isinstance(child, ast.ClassDef | ast.FunctionDef)
            yield from visit(child, (*names, child.name) if inner else names)
            if isinstance(child, ast.Call):
                called = getattr(child.func, "attr", getattr(child.func, "id", ""))
                if called in makers or any(given.arg == "random_state" for given in child.keywords):
                    yield ".".join(names)

    return set(visit(ast.parse(text), ()))


def drawn(source, tiny, seed):
    return np.asarray(SOURCES[source](tiny, seed)).tobytes()


def test_every_function_that_seeds_a_generator_is_listed():
    found = {
        f"{path.relative_to(SCRIPTS).as_posix()} {name}"
        for path in SCRIPTS.rglob("*.py")
        for name in seeding_functions(path)
    }
    named = [name.split() for name in (*SOURCES, *SHARED)]
    assert found == {f"{file} {function}" for file, *functions in named for function in functions}


@pytest.mark.parametrize("source", SOURCES)
def test_draws_differ_between_seeds_and_repeat_for_equal_seeds(source, tiny):
    of_seed = {seed: drawn(source, tiny, seed) for seed in (0, 1, 2, SEEDS - 1)}
    assert [pair for pair in combinations(of_seed, 2) if of_seed[pair[0]] == of_seed[pair[1]]] == []
    torch.rand(3)  # whatever was drawn before
    assert drawn(source, tiny, 1) == of_seed[1]


@pytest.mark.parametrize("given", ["-1", str(SEEDS), "x"])
def test_seeds_out_of_range_are_rejected(given, capsys):
    with pytest.raises(SystemExit):
        parser("", seed=True).parse_args(["--seed", given])
    assert f"{given} is not a seed: give an integer from 0 to 4294967295" in capsys.readouterr().err
