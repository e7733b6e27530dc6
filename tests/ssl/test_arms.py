"""Which images a batch of each arm shows. All images of source i have a uniform grey near 10 i."""

from functools import partial

import numpy as np
import pytest
import torch
from tests.ssl.conftest import CPU, HELD, TINY, write_bank, write_images
from tests.ssl.test_pretrainer import run

from gensis.augment.views import ViewRecipe
from gensis.errors import UserError
from gensis.images.bank_filter import filter_path, write_filter
from gensis.images.index import read_index
from gensis.images.reading import StreamedImages, open_images
from gensis.settings.pretraining import Retraining
from gensis.ssl.bank_images import open_parts, other_rows
from gensis.ssl.batch import Batches
from gensis.ssl.batch_plan import Chooser
from gensis.ssl.pretrainer import Pretrainer
from gensis.training.distributed import World

SOURCES, STEPS = 24, 10
VARIANTS, INTERPOLATED = (1, 2), (5, 6)  # offsets to the grey of the source
ROWS = torch.arange(SOURCES)
PARTNERS = {5: np.roll(np.arange(SOURCES), 1), 6: np.roll(np.arange(SOURCES), 7)}
ALPHAS = {5: 0.3, 6: 0.8}
PLAIN = ViewRecipe(
    size_px=8,
    scale=(0.5, 1.0),
    flip=0,
    rotate=False,
    jitter=0,
    brightness=0,
    contrast=0,
    saturation=0,
    hue=0,
    grayscale=0,
    blur=0,
    solarize=0,
)


def greys(offset):
    values = (10 * np.arange(SOURCES) + offset).astype(np.uint8)
    return np.broadcast_to(values[:, None, None, None], (SOURCES, 16, 16, 3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arms")
    write_images(folder, greys(0))
    sources = np.tile(np.arange(SOURCES), 2)
    generated = np.concatenate([greys(offset) for offset in VARIANTS])
    write_bank(folder, generated, sources, [-1] * len(sources), [1.0] * len(sources), "generative")
    generated = np.concatenate([greys(offset) for offset in INTERPOLATED])
    partners, alphas = np.concatenate(list(PARTNERS.values())), np.repeat(list(ALPHAS.values()), SOURCES)
    write_bank(folder, generated, sources, partners, alphas, "interpolated")
    return folder


@pytest.fixture
def make(folder):
    """Function that returns the chooser and the batches of an arm."""

    def make(rank=0, image_cache_gb=1.0, bank=folder, **arm):
        settings = Retraining(bank="b", **(TINY | arm))
        opened = partial(open_images, device=CPU, image_cache_gb=image_cache_gb, threads=1)
        images = opened(read_index(folder / "train.tsv"))
        generative, interpolated = open_parts(settings, bank, sources=SOURCES, open_images=opened, seed=0)
        of_bank = {"generative": generative, "interpolated": interpolated}
        chooser = Chooser(settings, images, **of_bank, seed=0, rank=rank, steps=STEPS)
        return chooser, Batches(settings, (PLAIN,) * 3, chooser=chooser, device=CPU, normalise=lambda views: views)

    return make


def shown(views):
    """Greys of views (..., 3, S, S)."""
    values = views.mean((-3, -2, -1)) * 255
    torch.testing.assert_close(values, values.round(), atol=1e-2, rtol=0)
    return values.round().long()


def source_and_kind(views):
    """Source, and offset to its grey, of each view."""
    return shown(views) // 10, shown(views) % 10


def test_gen_dino_shows_each_image_with_its_own_bank_images_and_partner(make):
    _, batches = make()
    batch = batches.draw(ROWS)
    source, kind = source_and_kind(batch.views.global_views)
    assert torch.equal(source, ROWS.expand(2, -1))
    assert torch.equal(kind == 0, torch.stack([batch.views.real_slot == 0, batch.views.real_slot == 1]))
    assert set(kind.sum(0).tolist()) == set(VARIANTS)
    source, kind = source_and_kind(batch.interpolated.views)
    assert torch.equal(source, ROWS)
    expected = torch.tensor([PARTNERS[k][row] for row, k in enumerate(kind.tolist())])
    assert torch.equal(shown(batch.interpolated.partners), 10 * expected.unsqueeze(0))
    assert torch.equal(batch.interpolated.source_slots, batch.views.real_slot.unsqueeze(0))


def test_add_keeps_two_real_views_and_adds_one_of_the_bank(make):
    _, batches = make(generative_views="add", generative_probability=0.5)
    batch = batches.draw(ROWS)
    assert torch.equal(shown(batch.views.global_views), (10 * ROWS).expand(2, -1))
    source, kind = source_and_kind(batch.views.added_views)
    assert torch.equal(source, ROWS)
    assert set(kind.tolist()) == {0, *VARIANTS}
    assert torch.equal(batch.interpolated.source_slots, torch.zeros(1, SOURCES, dtype=torch.long))
    assert make(generative_views="add", generative_probability=0)[1].draw(ROWS).views.added_views is None


def test_generative_targets_count_only_if_both_sources_show_a_generative_image(make):
    chooser, _ = make(disentangle_targets="generative", generative_probability=0.5)
    choices = [chooser.choose(ROWS, step) for step in range(8)]
    shows = torch.stack([choice.pairs.has for choice in choices])
    counts = torch.stack([choice.interpolations.counts for choice in choices])
    assert 0 < shows.sum() < shows.numel()
    assert torch.equal(counts, shows)


def test_each_interpolated_image_of_a_source_has_its_own_alpha(make):
    _, batches = make()
    seen = set()
    for step in range(4):
        interpolated = batches.draw(ROWS, step).interpolated
        seen |= set(zip(source_and_kind(interpolated.views)[1].tolist(), interpolated.alpha.tolist()))
    assert len(seen) == len(ALPHAS)
    assert dict(seen) == pytest.approx(ALPHAS)


def test_pixel_interpolation_has_the_pairs_partners_and_alphas_of_gen_dino(make):
    generated, pixel = (make(interpolation=kind)[1].draw(ROWS) for kind in ("embedding", "pixel"))
    assert torch.equal(shown(pixel.views.global_views), shown(generated.views.global_views))
    assert torch.equal(shown(pixel.interpolated.partners), shown(generated.interpolated.partners))
    assert torch.equal(pixel.interpolated.alpha, generated.interpolated.alpha)
    partners = shown(generated.interpolated.partners)[0]
    expected = pixel.interpolated.alpha * 10 * ROWS + (1 - pixel.interpolated.alpha) * partners
    assert (shown(pixel.interpolated.views) - expected).abs().max() <= 0.5001  # 8 bits


def test_pixel_interpolation_opens_no_interpolated_image_of_the_bank(folder):
    settings = Retraining(bank="b", **TINY, interpolation="pixel")
    assert open_parts(settings, folder, sources=SOURCES, open_images=HELD, seed=0)[1].images is None


def test_an_arm_without_generative_views_reads_no_generative_image(make, folder, tmp_path):
    (tmp_path / "interpolated-0000.h5").symlink_to(folder / "interpolated-0000.h5")
    _, batches = make(bank=tmp_path, generative_probability=0)
    batch = batches.draw(ROWS)
    assert torch.equal(shown(batch.views.global_views), (10 * ROWS).expand(2, -1))
    assert torch.equal(batch.views.real_slot, torch.zeros_like(ROWS))
    assert set(source_and_kind(batch.interpolated.views)[1].tolist()) == set(INTERPOLATED)


def test_without_real_images_views_show_two_different_variants(make):
    _, batches = make(real_images=False)
    batch = batches.draw(ROWS)
    source, kind = source_and_kind(batch.views.global_views)
    assert torch.equal(source, ROWS.expand(2, -1))
    assert torch.equal(kind.sort(0).values, torch.tensor(VARIANTS).unsqueeze(1).expand(2, SOURCES))
    source, kind = source_and_kind(batch.views.local_views)
    assert torch.equal(source, ROWS.expand(2, -1))
    assert torch.equal(kind.sort(0).values, torch.tensor(VARIANTS).unsqueeze(1).expand(2, SOURCES))
    assert set(source_and_kind(batch.interpolated.partners)[1].flatten().tolist()) == set(VARIANTS)


def test_without_real_images_a_bank_with_one_variant_is_refused(make, folder, tmp_path):
    (tmp_path / "interpolated-0000.h5").symlink_to(folder / "interpolated-0000.h5")
    write_bank(tmp_path, greys(1), ROWS.numpy(), [-1] * SOURCES, [1.0] * SOURCES, "generative")
    with pytest.raises(UserError, match="does not have two generative images per source: generate it with variants: 2"):
        make(bank=tmp_path, real_images=False)


@pytest.mark.parametrize(("targets", "kinds"), [("generative", [False]), ("both", [True, False])])
def test_disentangle_targets_selects_the_views_of_the_targets(make, targets, kinds):
    """``kinds``: whether each target is computed from real images."""
    _, batches = make(disentangle_targets=targets)
    batch = batches.draw(ROWS)
    source_views = batch.views.global_views[batch.interpolated.source_slots, ROWS]
    assert len(source_views) == len(batch.interpolated.partners) == len(kinds)
    for is_real, of_source, of_partner in zip(kinds, source_views, batch.interpolated.partners):
        for view in (of_source, of_partner):
            assert torch.equal(source_and_kind(view)[1] == 0, torch.full((SOURCES,), is_real))
    own = source_and_kind(batch.interpolated.views)[1].tolist()
    expected = torch.tensor([PARTNERS[kind][row] for row, kind in enumerate(own)])
    assert torch.equal(source_and_kind(batch.interpolated.partners)[0], expected.expand(len(kinds), -1))


def test_shuffle_bank_permutes_sources_and_partners_alike(make):
    plain, shuffled = (make(shuffle_bank=shuffle)[1].draw(ROWS) for shuffle in (False, True))
    others = torch.from_numpy(other_rows(SOURCES, seed=0))
    source, kind = source_and_kind(shuffled.views.global_views)
    real = shuffled.views.real_slot
    assert torch.equal(source[real, ROWS], ROWS)
    generated_of = source[1 - real, ROWS]
    assert torch.equal(others[generated_of], ROWS)
    interpolated_of, kind = source_and_kind(shuffled.interpolated.views)
    assert torch.equal(others[interpolated_of], ROWS)
    true_partner = torch.tensor([PARTNERS[k][row] for row, k in zip(interpolated_of.tolist(), kind.tolist())])
    assert torch.equal(shown(shuffled.interpolated.partners)[0], 10 * others[true_partner])
    assert not torch.equal(shown(plain.interpolated.views), shown(shuffled.interpolated.views))


@pytest.mark.parametrize("count", [2, 3, 1000])
def test_other_rows_is_a_permutation_without_fixed_points(count):
    others = other_rows(count, seed=1)
    assert (others != np.arange(count)).all()
    assert np.array_equal(np.sort(others), np.arange(count))
    assert count < 4 or not np.array_equal(others, other_rows(count, seed=2))


def test_the_images_of_a_step_depend_only_on_step_and_process(make):
    def rows(chooser, step):
        return [pick.rows.tolist() for pick in chooser.choose(ROWS, step).picks()]

    one, other = make()[0], make()[0]
    assert rows(one, 3) == [rows(other, step) for step in (1, 2, 3)][-1]
    assert rows(one, 3) != rows(one, 4)
    assert rows(one, 3) != rows(make(rank=1)[0], 3)


def test_all_processes_disentangle_in_the_same_steps_at_the_given_rate(make):
    first, second = (make(rank=rank, disentangle_probability=0.25)[0] for rank in (0, 1))
    computed = [first.choose(ROWS[:1], step).interpolations is not None for step in range(400)]
    assert computed == [second.choose(ROWS[:1], step).interpolations is not None for step in range(400)]
    assert 60 < sum(computed) < 140


def test_a_ramp_increases_the_share_of_bank_images(make):
    chooser, _ = make(generative_probability={"start": 0, "end": 1})
    many = ROWS.repeat(50)
    shares = [chooser.choose(many, step).pairs.has.float().mean().item() for step in (0, 5, STEPS)]
    assert shares == [0, pytest.approx(0.5, abs=0.1), 1]


ARMS = {
    "gen-dino": {},
    "pixel": {"interpolation": "pixel"},
    "no-real-images": {"real_images": False},
    "both": {"disentangle_targets": "both"},
    "added": {"generative_views": "add"},
}


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_trains_the_same_with_cached_and_streamed_images(folder, arm):
    def losses(image_cache_gb):
        settings = Retraining(bank="b", **(TINY | ARMS[arm]))
        opened = partial(open_images, device=CPU, image_cache_gb=image_cache_gb, threads=1)
        images = opened(read_index(folder / "train.tsv"))
        assert isinstance(images, StreamedImages) == (image_cache_gb < 1)
        generative, interpolated = open_parts(settings, folder, sources=SOURCES, open_images=opened, seed=0)
        of_bank = {"generative": generative, "interpolated": interpolated}
        return run(Pretrainer(settings, images, device=CPU, world=World(), seed=0, **of_bank), 3)

    assert losses(1.0) == losses(1e-9)


def test_the_disentangle_loss_is_zero_in_steps_without_it(folder):
    settings = Retraining(bank="b", **TINY, disentangle_probability=0.5, generative_probability={"start": 0, "end": 1})
    images = open_images(read_index(folder / "train.tsv"), CPU, 1.0, 1)
    generative, interpolated = open_parts(settings, folder, sources=SOURCES, open_images=HELD, seed=0)
    of_bank = {"generative": generative, "interpolated": interpolated}
    rows = run(Pretrainer(settings, images, device=CPU, world=World(), seed=0, **of_bank), 6)
    assert {row["disentangle"] > 0 for row in rows} == {True, False}
    assert all(row["loss"] == pytest.approx(row["dino"] + row["disentangle"]) for row in rows)
    assert [row["generative_probability"] for row in rows] == pytest.approx([step / 6 for step in range(6)])


@pytest.fixture
def filtered_folder(folder, tmp_path):
    """The bank with a filter that keeps no image of the first three sources, and one of the fourth."""
    excluded = np.isin(np.arange(2 * SOURCES), [0, 1, 2, 3, *(SOURCES + np.arange(3))])
    for store in folder.glob("*.h5"):
        (tmp_path / store.name).symlink_to(store)
    for kind in ("generative", "interpolated"):
        write_filter(filter_path(tmp_path / f"{kind}-0000.h5"), {}, ~excluded, {})
    return tmp_path


def test_filtered_images_are_never_drawn(filtered_folder):
    settings = Retraining(bank="b", **TINY)
    for images in open_parts(settings, filtered_folder, sources=SOURCES, open_images=HELD, seed=0, filtered=True):
        positions, has = images.choose(ROWS.repeat(50), torch.Generator().manual_seed(0))
        assert has.reshape(50, SOURCES).all(0).tolist() == [False] * 3 + [True] * (SOURCES - 3)
        drawn = positions[has]
        assert set(drawn.tolist()) == set(range(4, SOURCES)) | set(range(SOURCES + 3, 2 * SOURCES))
        assert (drawn % SOURCES).equal(ROWS.repeat(50)[has])


def test_a_filter_has_no_effect_unless_filtered_is_set(filtered_folder):
    generative, _ = open_parts(Retraining(bank="b", **TINY), filtered_folder, sources=SOURCES, open_images=HELD, seed=0)
    assert generative.first.diff().tolist() == [2] * SOURCES


def test_a_filter_that_keeps_nothing_is_refused(filtered_folder):
    settings = Retraining(bank="b", **TINY)
    write_filter(filter_path(filtered_folder / "generative-0000.h5"), {}, np.zeros(2 * SOURCES, bool), {})
    with pytest.raises(UserError, match=f"keeps none of {2 * SOURCES} generative images: relax its thresholds"):
        open_parts(settings, filtered_folder, sources=SOURCES, open_images=HELD, seed=0, filtered=True)
    filter_path(filtered_folder / "generative-0000.h5").unlink()
    with pytest.raises(UserError, match="does not exist"):
        open_parts(settings, filtered_folder, sources=SOURCES, open_images=HELD, seed=0, filtered=True)
