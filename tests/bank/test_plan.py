import numpy as np
import pytest

from gensis.bank.plan import plan_generative, plan_interpolated
from gensis.bank.shards import shard_sources
from gensis.errors import UserError
from gensis.settings.bank import UniformAlphas


def joined(plans):
    return {name: np.concatenate([plan.columns()[name] for plan in plans]) for name in plans[0].columns()}


@pytest.mark.parametrize(("images", "shards"), [(10, 1), (10, 3), (3, 5), (1, 1)])
def test_shards_divide_the_sources_in_order(images, shards):
    parts = [shard_sources(images, shard, shards) for shard in range(shards)]
    assert [row for part in parts for row in part] == list(range(images))


@pytest.mark.parametrize("shards", [2, 3, 20])
def test_number_of_shards_changes_no_image(shards):
    parts = [shard_sources(13, shard, shards) for shard in range(shards)]
    alphas = UniformAlphas(uniform=(0.2, 0.8))
    for make in (lambda part: plan_generative(part, 2, 7), lambda part: plan_interpolated(part, 13, alphas, 7)):
        whole, divided = make(range(13)).columns(), joined([make(part) for part in parts])
        for name, column in whole.items():
            assert column.dtype == divided[name].dtype
            assert np.array_equal(column, divided[name])


def test_the_images_of_existing_banks_do_not_change():
    """The numbers are those of earlier banks: another draw before them would generate every bank anew."""
    plan = plan_generative(range(2), 2, 7)
    assert plan.seed.tolist() == [5765488047046174020, 3416037845849560384, 7103296511922187877, 999002240967907480]
    moved = plan_generative(range(2), 2, 7, neighbours=np.array([[1], [0]]), share=0.5)
    assert moved.seed.tolist() == plan.seed.tolist()
    plan = plan_interpolated(range(2), 50, (0.5,), 7)
    assert plan.partner.tolist() == [36, 4]
    assert plan.seed.tolist() == [4467216387740624614, 5755065231262107888]


def test_columns_have_documented_types_ordered_by_source_and_variant():
    plan = plan_generative(range(4, 6), 3, 0)
    assert {name: column.dtype.str for name, column in plan.columns().items()} == {
        "source": "<i8",
        "partner": "<i8",
        "alpha": "<f4",
        "variant": "<i4",
        "seed": "<i8",
    }
    assert plan.source.tolist() == [4, 4, 4, 5, 5, 5]
    assert plan.variant.tolist() == [0, 1, 2, 0, 1, 2]
    assert (plan.partner == -1).all()
    assert (plan.alpha == 1).all()


def test_partners_are_uniform_over_other_images_and_never_the_source():
    plan = plan_interpolated(range(4), 4, (0.5,) * 900, 0)
    assert (plan.partner != plan.source).all()
    for source in range(4):
        counts = np.bincount(plan.partner[plan.source == source], minlength=4)
        others = np.delete(counts, source)
        assert counts[source] == 0
        assert others.min() > 230  # 300 expected, standard deviation 14


def test_fixed_alphas_give_one_image_each():
    plan = plan_interpolated(range(2), 9, (0.3, 0.7), 0)
    assert np.allclose(plan.alpha, [0.3, 0.7, 0.3, 0.7])
    assert plan.variant.tolist() == [0, 1, 0, 1]


def test_uniform_alphas_cover_their_range():
    alpha = plan_interpolated(range(2000), 2000, UniformAlphas(uniform=(0.3, 0.7)), 0).alpha
    assert len(alpha) == 2000
    assert 0.3 <= alpha.min() < 0.302
    assert 0.698 < alpha.max() <= np.float32(0.7)
    assert abs(alpha.mean() - 0.5) < 0.01


def test_every_image_has_its_own_noise_that_depends_on_the_bank_seed():
    generative, interpolated = plan_generative(range(500), 2, 3), plan_interpolated(range(500), 500, (0.5, 0.5), 3)
    seeds = np.concatenate([generative.seed, interpolated.seed])
    assert len(np.unique(seeds)) == 2000
    assert (seeds >= 0).all()
    assert not np.intersect1d(generative.seed, plan_generative(range(500), 2, 4).seed).size


def test_more_variants_do_not_change_the_first_ones():
    few, many = plan_generative(range(5), 1, 0), plan_generative(range(5), 3, 0)
    assert np.array_equal(few.seed, many.seed[many.variant == 0])


def test_partners_of_generative_images_are_drawn_among_the_neighbours_of_each_source():
    neighbours = np.arange(400).reshape(100, 4) + 1000  # distinct for each source
    plan = plan_generative(range(20, 120), 50, 3, neighbours=neighbours, share=0.3)
    assert (plan.partner // 4 - 250 == plan.source - 20).all()
    assert np.bincount(plan.partner % 4, minlength=4).min() > 1100  # 1250 expected, standard deviation 31
    assert np.allclose(plan.alpha, 0.7)


def test_partners_change_no_noise_and_no_other_image():
    neighbours = np.arange(100).reshape(10, 10)
    plain = plan_generative(range(10), 2, 3)
    moved = plan_generative(range(10), 2, 3, neighbours=neighbours, share=0.5)
    later = plan_generative(range(4, 10), 3, 3, neighbours=neighbours[4:], share=0.5)
    assert np.array_equal(moved.seed, plain.seed)
    assert np.array_equal(moved.partner[8:], later.partner[later.variant < 2])
    other = plan_generative(range(10), 2, 4, neighbours=neighbours, share=0.5)
    assert (other.partner != moved.partner).any()


def test_no_variants_or_alphas_give_an_empty_plan():
    for plan in (
        plan_generative(range(5), 0, 0),
        plan_interpolated(range(5), 5, (), 0),
        plan_generative(range(0), 2, 0),
    ):
        assert len(plan) == 0
        assert plan.seed.dtype == np.int64
    assert len(plan_interpolated(range(1), 1, (), 0)) == 0


def test_interpolation_of_a_single_image_is_refused():
    with pytest.raises(UserError, match="needs two images"):
        plan_interpolated(range(1), 1, (0.5,), 0)
