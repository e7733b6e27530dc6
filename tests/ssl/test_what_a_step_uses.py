"""What a training step uses: every setting of the views, the bank, the weights of the losses, and the teacher."""

import argparse

import numpy as np
import pytest
import torch
from tests.ssl.conftest import CPU, HELD, TINY
from tests.ssl.test_added_views import HEADS, make  # noqa: F401
from tests.ssl.test_arms import ROWS, SOURCES, STEPS, filtered_folder, folder, shown  # noqa: F401
from tests.ssl.test_arms import make as make_arm  # noqa: F401
from tests.ssl.test_methods import EACH, of_method
from tests.ssl.test_pretrainer import run
from tests.ssl.test_step import IMAGES, batch
from torch.nn import functional as F

import pretrain_encoder
from gensis.images.index import read_index
from gensis.settings.pretraining import Retraining, Views
from gensis.settings.runtime import Runtime
from gensis.ssl.auto import view_recipes
from gensis.ssl.bank_images import open_parts
from gensis.ssl.batch import Batches
from gensis.ssl.batch_plan import Chooser
from gensis.ssl.contrast import sources_loss
from gensis.ssl.methods.dino import dino_loss, teacher_targets
from gensis.ssl.methods.mocov3 import contrast
from gensis.ssl.methods.simclr import nt_xent
from gensis.ssl.rates import generative_probability
from gensis.training.distributed import World


@pytest.mark.parametrize("arm", [{}, {"generative_views": "add"}, {"disentangle_targets": "both"}])
def test_all_views_are_normalised_with_the_mean_and_deviation_that_are_published(make_pretrainer, copies, arm):
    pretrainer = make_pretrainer(**copies, **arm)
    of = pretrainer.preprocessing
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (of.mean, of.std))
    made = {"chooser": pretrainer.batches._chooser, "device": CPU}
    plain = Batches(pretrainer.settings, pretrainer.recipes, **made, normalise=lambda views: views)
    drawn = []
    for batches in (plain, pretrainer.batches):
        torch.manual_seed(0)
        given = batches.draw(torch.arange(8))
        views, mixed = given.views, given.interpolated
        drawn.append([views.global_views, views.local_views, mixed.views, mixed.partners, views.added_views])
    for before, after in zip(*drawn):
        if before is not None:
            torch.testing.assert_close(after, (before - mean) / std)


@pytest.mark.parametrize("name", ["dino", "mocov3"])
def test_the_teacher_is_published_where_there_is_one(make_pretrainer, name):
    pretrainer = make_pretrainer(**of_method(name), learning_rate=0.5, warmup=0)
    pretrainer.learn(batch(0, local_crops=0), 1)
    published = pretrainer.encoder().state_dict()
    student, teacher = (network.backbone.state_dict() for network in pretrainer.method.networks)
    assert all(torch.equal(published[key], teacher[key]) for key in published)
    assert any(not torch.equal(published[key], student[key]) for key in published)


@EACH
def test_the_disentangle_loss_has_the_weight_of_the_settings(make_pretrainer, copies, name):
    row = run(make_pretrainer(**of_method(name), **copies, disentangle_weight=0.5), 1)[0]
    assert row["loss"] == pytest.approx(row[name] + 0.5 * row["disentangle"])


def test_each_global_view_is_the_synthetic_one_of_half_of_the_images(make_arm):  # noqa: F811
    chooser, _ = make_arm()
    slots = torch.stack([chooser.choose(ROWS, step).pairs.slot for step in range(50)]).float()
    assert slots.mean().item() == pytest.approx(0.5, abs=0.05)
    assert slots.mean(1).std().item() == pytest.approx((0.25 / len(ROWS)) ** 0.5, rel=0.4)  # drawn image by image


@pytest.mark.parametrize("name", ["simclr", "mocov3"])
def test_contrastive_methods_recognise_the_views_that_show_the_two_sources(make, name):  # noqa: F811
    method, given = make(name), batch(0, with_bank=True, local_crops=0)
    mixed, temperature, rows = given.interpolated, getattr(method.settings, name).temperature, torch.arange(IMAGES)

    def outputs(network, *views):
        return F.normalize(network(torch.cat(views)), dim=1).unflatten(0, (-1, IMAGES))

    both, partners = given.views.global_views, mixed.partners
    with torch.no_grad():
        if name == "simclr":
            seen = outputs(method.student, *both, mixed.views, *partners)
            anchors, known = seen[2], seen[[0, 1, 3]]
        else:
            anchors = outputs(method.student, *both, mixed.views)[2]
            known = outputs(method.teacher, *both, *partners)
        sources = known[mixed.source_slots[0], rows]
        options = {"interpolated": mixed, "temperature": temperature, "world": World()}
        expected = sources_loss(anchors, sources, known[2], **options)
        found = method.losses(method.student, given, {}).logged["disentangle"]
    torch.testing.assert_close(found, expected if name == "simclr" else 2 * temperature * expected)


def test_the_centre_is_the_mean_of_the_real_images_own_views(make_pretrainer):
    pretrainer, given = make_pretrainer(drop_path=0.0, disentangle_weight=1.0), batch(0, with_bank=True)
    with torch.no_grad():
        logits = pretrainer.method.teacher(given.views.global_views.flatten(0, 1))
    pretrainer.learn(given, 1)
    torch.testing.assert_close(pretrainer.method.centre, 0.1 * logits.mean(0))


@pytest.mark.parametrize(("fraction", "synthetic"), [(0.0, 0), (0.25, 1), (1.0, 4)])
def test_the_given_fraction_of_local_views_shows_the_bank(make_arm, fraction, synthetic):  # noqa: F811
    _, batches = make_arm(generative_local_fraction=fraction, views={"local_crops": 4, "local_px": 8})
    assert (shown(batches.draw(ROWS).views.local_views) % 10 > 0).sum(0).tolist() == [synthetic] * len(ROWS)


def test_interpolated_and_added_views_are_made_like_the_first_global_view(make_pretrainer, copies):
    pretrainer = make_pretrainer(**copies, generative_views="add", views={"solarize": 1.0, "local_crops": 0})
    first, second, _ = pretrainer.recipes
    assert (first.solarize, second.solarize) == (0, 1)
    given = Batches(
        pretrainer.settings, pretrainer.recipes, chooser=pretrainer.batches._chooser, device=CPU, normalise=lambda v: v
    ).draw(torch.arange(8))
    assert given.views.global_views[1].max() <= 0.5  # solarised
    for views in (given.views.global_views[0], given.views.added_views, given.interpolated.views):
        assert views.max() > 0.5
    assert given.interpolated.partners.max() > 0.5


def test_a_cosine_ramp_runs_from_start_to_end():
    ramp = {"start": 0.2, "end": 0.8, "shape": "cosine"}
    settings = Retraining(dataset="d", bank="b", generative_probability=ramp)
    found = [generative_probability(step, 8, settings) for step in range(9)]
    np.testing.assert_allclose(found, 0.5 - 0.3 * np.cos(np.pi * np.arange(9) / 8))


def test_view_recipes_have_every_value_of_the_settings():
    shared = {"flip": 0.3, "rotate": True, "jitter": 0.7, "brightness": 0.1, "contrast": 0.2, "saturation": 0.3}
    shared |= {"hue": 0.05, "grayscale": 0.4, "stain": 0.15}
    own = {"local_px": 8, "global_scale": (0.3, 0.9), "local_scale": (0.05, 0.3), "blur": (0.9, 0.5, 0.1)}
    recipes = view_recipes(Views(**shared, **own, solarize=0.6), 32)
    for recipe in recipes:
        assert {name: getattr(recipe, name) for name in shared} == shared
    assert [recipe.size_px for recipe in recipes] == [32, 32, 8]
    assert [recipe.scale for recipe in recipes] == [(0.3, 0.9), (0.3, 0.9), (0.05, 0.3)]
    assert [recipe.blur for recipe in recipes] == [0.9, 0.5, 0.1]
    assert [recipe.solarize for recipe in recipes] == [0, 0.6, 0]


@pytest.mark.parametrize("targets", ["real", "generative"])
def test_only_sources_whose_images_are_all_in_the_bank_are_counted(filtered_folder, targets):  # noqa: F811
    settings = Retraining(bank="b", **TINY, disentangle_targets=targets)
    parts = open_parts(settings, filtered_folder, sources=SOURCES, open_images=HELD, seed=0, filtered=True)
    given = dict(zip(("generative", "interpolated"), parts))
    chooser = Chooser(settings, None, **given, seed=0, rank=0, steps=STEPS)
    for step in range(20):
        found = chooser.choose(ROWS, step).interpolations
        shown = (found.rows[1] >= 3) if targets == "generative" else True
        assert found.counts.tolist() == ((ROWS >= 3) & shown).tolist()


@pytest.mark.parametrize("filtered", [True, False])
def test_a_retraining_reads_only_what_the_filter_keeps_if_told(folder, filtered_folder, filtered):  # noqa: F811
    given = {"runtime": Runtime(), "threads": 1, "bank": filtered_folder, "filtered": filtered, "seed": 0, "init": None}
    trainer = pretrain_encoder.create(
        argparse.Namespace(**given),
        Retraining(bank="b", **TINY),
        index=read_index(folder / "train.tsv"),
        device=CPU,
        world=World(),
    )
    has = trainer.batches._chooser.choose(ROWS, 0).pairs.has
    assert has.tolist() == [not filtered or row >= 3 for row in range(SOURCES)]


@pytest.mark.parametrize("name", HEADS)
def test_the_temperature_of_the_settings_is_that_of_the_loss(make_pretrainer, name):
    own = {name: HEADS[name][name] | {"temperature": 0.35}} if name != "dino" else {"student_temperature": 0.35}
    method = make_pretrainer(**HEADS[name] | own, views={"local_crops": 0}, drop_path=0.0).method
    given = batch(0, local_crops=0)
    with torch.no_grad():
        seen, known = (
            network(given.views.global_views.flatten(0, 1)).unflatten(0, (2, IMAGES))
            for network in (method.student, method.networks[-1])
        )
        unit, keys = F.normalize(seen, dim=2), F.normalize(known, dim=2)
        expected = {
            "dino": lambda: dino_loss(teacher_targets(known, method.centre, 0.04), list(seen), 0.35),
            "simclr": lambda: nt_xent(unit, 0.35, World())[0],
            "mocov3": lambda: sum(contrast(unit[i], keys[1 - i], 0.35, World())[0] for i in (0, 1)),
        }[name]()
        found = method.losses(method.student, given, {"teacher_temperature": 0.04}).loss
    torch.testing.assert_close(found, expected)
