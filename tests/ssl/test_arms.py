"""What a batch of each arm shows, told by the grey of its views: every image of source i is of one grey near 10 i."""

from functools import partial

import numpy as np
import pytest
import torch
from tests.ssl.conftest import CPU, HELD, TINY, write_bank, write_images
from tests.ssl.test_pretrainer import run

from gensis.augment.views import ViewRecipe
from gensis.errors import UserError
from gensis.images.index import read_index
from gensis.images.kept import kept_path, write_kept
from gensis.images.reading import StreamedImages, open_images
from gensis.settings.pretraining import Retraining
from gensis.ssl.bank_images import open_parts, other_rows
from gensis.ssl.batch import Batches
from gensis.ssl.choice import Chooser
from gensis.ssl.pretrainer import Pretrainer
from gensis.training.distributed import World

SOURCES, STEPS = 24, 10
VARIANTS, BETWEEN = (1, 2), (5, 6)  # greys beyond the source's
ROWS = torch.arange(SOURCES)
PARTNERS = {5: np.roll(np.arange(SOURCES), 1), 6: np.roll(np.arange(SOURCES), 7)}
ALPHAS = {5: 0.3, 6: 0.8}
PLAIN = ViewRecipe(8, (0.5, 1.0), 0, False, 0, 0, 0, 0, 0, 0, 0, 0)


def greys(beyond):
    values = (10 * np.arange(SOURCES) + beyond).astype(np.uint8)
    return np.broadcast_to(values[:, None, None, None], (SOURCES, 16, 16, 3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arms")
    write_images(folder, greys(0))
    sources = np.tile(np.arange(SOURCES), 2)
    painted = np.concatenate([greys(beyond) for beyond in VARIANTS])
    write_bank(folder, painted, sources, [-1] * len(sources), [1.0] * len(sources), "generative")
    painted = np.concatenate([greys(beyond) for beyond in BETWEEN])
    partners, alphas = np.concatenate(list(PARTNERS.values())), np.repeat(list(ALPHAS.values()), SOURCES)
    write_bank(folder, painted, sources, partners, alphas, "interpolated")
    return folder


@pytest.fixture
def make(folder):
    """A chooser and batches of an arm."""

    def make(rank=0, memory_gb=1.0, bank=folder, **arm):
        settings = Retraining(bank="b", **(TINY | arm))
        opened = partial(open_images, device=CPU, memory_gb=memory_gb, threads=1)
        images = opened(read_index(folder / "train.tsv"))
        parts = open_parts(settings, bank, SOURCES, opened, seed=0)
        chooser = Chooser(settings, images, *parts, seed=0, rank=rank, steps=STEPS)
        return chooser, Batches(settings, (PLAIN,) * 3, chooser, CPU, lambda views: views)

    return make


def shown(views):
    """Greys of views (..., 3, S, S)."""
    values = views.mean((-3, -2, -1)) * 255
    torch.testing.assert_close(values, values.round(), atol=1e-2, rtol=0)
    return values.round().long()


def source_and_kind(views):
    """Source and grey beyond it, of each view."""
    return shown(views) // 10, shown(views) % 10


def test_gen_dino_pairs_each_image_with_one_of_its_own_and_the_in_between_image_with_its_partner(make):
    _, batches = make()
    batch = batches.draw(ROWS)
    source, kind = source_and_kind(batch.views.global_views)
    assert torch.equal(source, ROWS.expand(2, -1))
    assert torch.equal(kind == 0, torch.stack([batch.views.real_slot == 0, batch.views.real_slot == 1]))
    assert set(kind.sum(0).tolist()) == set(VARIANTS)
    source, kind = source_and_kind(batch.between.views)
    assert torch.equal(source, ROWS)
    expected = torch.tensor([PARTNERS[k][row] for row, k in enumerate(kind.tolist())])
    assert torch.equal(shown(batch.between.partners), 10 * expected.unsqueeze(0))
    assert torch.equal(batch.between.source_slots, batch.views.real_slot.unsqueeze(0))


def test_generative_targets_count_only_where_both_sources_show_a_generative_image(make):
    chooser, _ = make(disentangle_targets="generative", generative_probability=0.5)
    choices = [chooser.choose(ROWS, step) for step in range(8)]
    shows = torch.stack([choice.pairs.has for choice in choices])
    counts = torch.stack([choice.mixtures.counts for choice in choices])
    assert 0 < shows.sum() < shows.numel()
    assert torch.equal(counts, shows)


def test_each_of_several_in_between_images_of_a_source_comes_with_its_own_alpha(make):
    _, batches = make()
    seen = set()
    for step in range(4):
        between = batches.draw(ROWS, step).between
        seen |= set(zip(source_and_kind(between.views)[1].tolist(), between.alpha.tolist()))
    assert len(seen) == len(ALPHAS)
    assert dict(seen) == pytest.approx(ALPHAS)


def test_pixel_mix_has_the_pairs_partners_and_alphas_of_gen_dino_and_mixes_pixels(make):
    painted, mixed = (make(in_between=kind)[1].draw(ROWS) for kind in ("painted", "pixels"))
    assert torch.equal(shown(mixed.views.global_views), shown(painted.views.global_views))
    assert torch.equal(shown(mixed.between.partners), shown(painted.between.partners))
    assert torch.equal(mixed.between.alpha, painted.between.alpha)
    partners = shown(painted.between.partners)[0]
    expected = mixed.between.alpha * 10 * ROWS + (1 - mixed.between.alpha) * partners
    assert (shown(mixed.between.views) - expected).abs().max() <= 0.5001  # 8 bits


def test_pixel_mix_opens_no_painted_image_between_two(folder):
    settings = Retraining(bank="b", **TINY, in_between="pixels")
    assert open_parts(settings, folder, SOURCES, HELD, seed=0)[1].images is None


def test_interpolation_only_reads_nothing_generative(make, folder, tmp_path):
    (tmp_path / "interpolated-0000.h5").symlink_to(folder / "interpolated-0000.h5")
    _, batches = make(bank=tmp_path, generative_probability=0)
    batch = batches.draw(ROWS)
    assert torch.equal(shown(batch.views.global_views), (10 * ROWS).expand(2, -1))
    assert torch.equal(batch.views.real_slot, torch.zeros_like(ROWS))
    assert set(source_and_kind(batch.between.views)[1].tolist()) == set(BETWEEN)


def test_bank_only_shows_two_different_variants_and_no_real_image(make):
    _, batches = make(real_images=False)
    batch = batches.draw(ROWS)
    source, kind = source_and_kind(batch.views.global_views)
    assert torch.equal(source, ROWS.expand(2, -1))
    assert torch.equal(kind.sort(0).values, torch.tensor(VARIANTS).unsqueeze(1).expand(2, SOURCES))
    source, kind = source_and_kind(batch.views.local_views)
    assert torch.equal(source, ROWS.expand(2, -1))
    assert torch.equal(kind.sort(0).values, torch.tensor(VARIANTS).unsqueeze(1).expand(2, SOURCES))
    assert set(source_and_kind(batch.between.partners)[1].flatten().tolist()) == set(VARIANTS)


def test_bank_only_refuses_a_bank_with_one_variant(make, folder, tmp_path):
    (tmp_path / "interpolated-0000.h5").symlink_to(folder / "interpolated-0000.h5")
    write_bank(tmp_path, greys(1), ROWS.numpy(), [-1] * SOURCES, [1.0] * SOURCES, "generative")
    with pytest.raises(UserError, match="has not two generative images of every source: make it with variants: 2"):
        make(bank=tmp_path, real_images=False)


@pytest.mark.parametrize(("targets", "kinds"), [("generative", [False]), ("both", [True, False])])
def test_targets_come_from_the_views_that_the_settings_name(make, targets, kinds):
    """``kinds``: whether each target is of real images."""
    _, batches = make(disentangle_targets=targets)
    batch = batches.draw(ROWS)
    source_views = batch.views.global_views[batch.between.source_slots, ROWS]
    assert len(source_views) == len(batch.between.partners) == len(kinds)
    for is_real, of_source, of_partner in zip(kinds, source_views, batch.between.partners):
        for view in (of_source, of_partner):
            assert torch.equal(source_and_kind(view)[1] == 0, torch.full((SOURCES,), is_real))
    own = source_and_kind(batch.between.views)[1].tolist()
    expected = torch.tensor([PARTNERS[kind][row] for row, kind in enumerate(own)])
    assert torch.equal(source_and_kind(batch.between.partners)[0], expected.expand(len(kinds), -1))


def test_shuffled_shows_every_source_what_another_one_gave_and_names_its_partner_likewise(make):
    plain, shuffled = (make(shuffle_bank=shuffle)[1].draw(ROWS) for shuffle in (False, True))
    others = torch.from_numpy(other_rows(SOURCES, seed=0))
    source, kind = source_and_kind(shuffled.views.global_views)
    real = shuffled.views.real_slot
    assert torch.equal(source[real, ROWS], ROWS)
    painted_of = source[1 - real, ROWS]
    assert torch.equal(others[painted_of], ROWS)
    between_of, kind = source_and_kind(shuffled.between.views)
    assert torch.equal(others[between_of], ROWS)
    true_partner = torch.tensor([PARTNERS[k][row] for row, k in zip(between_of.tolist(), kind.tolist())])
    assert torch.equal(shown(shuffled.between.partners)[0], 10 * others[true_partner])
    assert not torch.equal(shown(plain.between.views), shown(shuffled.between.views))


@pytest.mark.parametrize("count", [2, 3, 1000])
def test_no_row_keeps_its_place_and_each_place_is_taken_once(count):
    others = other_rows(count, seed=1)
    assert (others != np.arange(count)).all()
    assert np.array_equal(np.sort(others), np.arange(count))
    assert count < 4 or not np.array_equal(others, other_rows(count, seed=2))


def test_what_a_step_reads_is_a_function_of_step_and_process_alone(make):
    def rows(chooser, step):
        return [pick.rows.tolist() for pick in chooser.choose(ROWS, step).picks()]

    one, other = make()[0], make()[0]
    assert rows(one, 3) == [rows(other, step) for step in (1, 2, 3)][-1]
    assert rows(one, 3) != rows(one, 4)
    assert rows(one, 3) != rows(make(rank=1)[0], 3)


def test_all_processes_compute_the_task_in_the_same_steps_and_in_about_as_many_as_asked_for(make):
    first, second = (make(rank=rank, disentangle_probability=0.25)[0] for rank in (0, 1))
    computed = [first.choose(ROWS[:1], step).mixtures is not None for step in range(400)]
    assert computed == [second.choose(ROWS[:1], step).mixtures is not None for step in range(400)]
    assert 60 < sum(computed) < 140


def test_a_ramp_shows_more_of_the_bank_from_step_to_step(make):
    chooser, _ = make(generative_probability={"start": 0, "end": 1})
    many = ROWS.repeat(50)
    shares = [chooser.choose(many, step).pairs.has.float().mean().item() for step in (0, 5, STEPS)]
    assert shares == [0, pytest.approx(0.5, abs=0.1), 1]


ARMS = {
    "gen-dino": {},
    "pixel-mix": {"in_between": "pixels"},
    "bank-only": {"real_images": False},
    "both": {"disentangle_targets": "both"},
}


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_trains_alike_whether_its_images_are_held_or_streamed(folder, arm):
    def losses(memory_gb):
        settings = Retraining(bank="b", **(TINY | ARMS[arm]))
        opened = partial(open_images, device=CPU, memory_gb=memory_gb, threads=1)
        images = opened(read_index(folder / "train.tsv"))
        assert isinstance(images, StreamedImages) == (memory_gb < 1)
        parts = open_parts(settings, folder, SOURCES, opened, seed=0)
        return run(Pretrainer(settings, images, CPU, World(), 0, *parts), 3)

    assert losses(1.0) == losses(1e-9)


def test_a_step_without_the_task_counts_nothing_for_it(folder):
    settings = Retraining(bank="b", **TINY, disentangle_probability=0.5, generative_probability={"start": 0, "end": 1})
    images = open_images(read_index(folder / "train.tsv"), CPU, 1.0, 1)
    parts = open_parts(settings, folder, SOURCES, HELD, seed=0)
    rows = run(Pretrainer(settings, images, CPU, World(), 0, *parts), 6)
    assert {row["disentangle"] > 0 for row in rows} == {True, False}
    assert all(row["loss"] == pytest.approx(row["dino"] + row["disentangle"]) for row in rows)
    assert [row["generative_probability"] for row in rows] == pytest.approx([step / 6 for step in range(6)])


@pytest.fixture
def filtered_folder(folder, tmp_path):
    """The bank, of whose images a filter keeps none of the first three sources, and one of the fourth."""
    left_out = np.isin(np.arange(2 * SOURCES), [0, 1, 2, 3, *(SOURCES + np.arange(3))])
    for store in folder.glob("*.h5"):
        (tmp_path / store.name).symlink_to(store)
    for kind in ("generative", "interpolated"):
        write_kept(kept_path(tmp_path / f"{kind}-0000.h5"), {}, ~left_out, {})
    return tmp_path


def test_images_that_the_filter_leaves_out_are_never_drawn_and_their_sources_are_seen_as_they_are(filtered_folder):
    settings = Retraining(bank="b", **TINY)
    for images in open_parts(settings, filtered_folder, SOURCES, HELD, seed=0, filtered=True):
        positions, has = images.choose(ROWS.repeat(50), torch.Generator().manual_seed(0))
        assert has.reshape(50, SOURCES).all(0).tolist() == [False] * 3 + [True] * (SOURCES - 3)
        drawn = positions[has]
        assert set(drawn.tolist()) == set(range(4, SOURCES)) | set(range(SOURCES + 3, 2 * SOURCES))
        assert (drawn % SOURCES).equal(ROWS.repeat(50)[has])


def test_without_the_flag_what_a_filter_left_behind_changes_nothing(filtered_folder):
    generative, _ = open_parts(Retraining(bank="b", **TINY), filtered_folder, SOURCES, HELD, seed=0)
    assert generative.first.diff().tolist() == [2] * SOURCES


def test_a_filter_that_keeps_nothing_ends_with_one_line(filtered_folder):
    settings = Retraining(bank="b", **TINY)
    write_kept(kept_path(filtered_folder / "generative-0000.h5"), {}, np.zeros(2 * SOURCES, bool), {})
    with pytest.raises(UserError, match=f"keeps none of {2 * SOURCES} generative images: loosen it"):
        open_parts(settings, filtered_folder, SOURCES, HELD, seed=0, filtered=True)
    kept_path(filtered_folder / "generative-0000.h5").unlink()
    with pytest.raises(UserError, match="does not exist: run again"):
        open_parts(settings, filtered_folder, SOURCES, HELD, seed=0, filtered=True)
