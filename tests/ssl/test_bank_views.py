import pytest
import torch

from gensis.augment.views import ViewRecipe, view
from gensis.ssl.bank_views import paired_views, real_views, with_added_views

GLOBAL = ViewRecipe(
    size_px=16,
    scale=(0.4, 1.0),
    flip=0.5,
    rotate=True,
    jitter=0.8,
    brightness=0.4,
    contrast=0.4,
    saturation=0.2,
    hue=0.1,
    grayscale=0.2,
    blur=0.5,
    solarize=0.2,
    stain=0.1,
)
LOCAL = ViewRecipe(
    size_px=8,
    scale=(0.1, 0.4),
    flip=0.5,
    rotate=True,
    jitter=0.8,
    brightness=0.4,
    contrast=0.4,
    saturation=0.2,
    hue=0.1,
    grayscale=0.2,
    blur=0.5,
    solarize=0.0,
    stain=0.1,
)
RECIPES = (GLOBAL, GLOBAL, LOCAL)


def pictures(seed, height, width):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (20, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("size", [(24, 24), (20, 30), (32, 18)])
def test_paired_views_equal_the_views_of_the_image_that_each_shows(size):
    real, synthetic = pictures(0, 24, 24), pictures(1, *size)
    has, slot = torch.arange(20) % 4 > 0, torch.arange(20) % 2
    torch.manual_seed(0)
    paired = paired_views(
        real, synthetic, has_synthetic=has, slot=slot, recipes=RECIPES, local_crops=4, local_fraction=0.5
    )
    of_each = []
    for images in (real, synthetic):
        torch.manual_seed(0)
        of_each.append([view(images, recipe) for recipe in (GLOBAL, GLOBAL, *[LOCAL] * 4)])
    from_synthetic = [has & (slot == 0), has & (slot == 1), has, has, has & False, has & False]
    for number, views in enumerate([*paired.global_views, *paired.local_views]):
        expected = torch.where(from_synthetic[number].view(-1, 1, 1, 1), of_each[1][number], of_each[0][number])
        torch.testing.assert_close(views, expected, atol=1e-6, rtol=0)
    assert torch.equal(paired.real_slot, torch.where(has, 1 - slot, 0))


def test_a_bank_of_copies_gives_the_views_without_a_bank():
    real, every = pictures(0, 24, 24), torch.ones(20, dtype=torch.bool)
    torch.manual_seed(0)
    plain = real_views(real, RECIPES, 4)
    torch.manual_seed(0)
    paired = paired_views(
        real, real, has_synthetic=every, slot=torch.arange(20) % 2, recipes=RECIPES, local_crops=4, local_fraction=0.5
    )
    assert torch.equal(paired.global_views, plain.global_views)
    assert torch.equal(paired.local_views, plain.local_views)


@pytest.mark.parametrize("size", [(24, 24), (20, 30)])
def test_an_added_view_shows_the_synthetic_image_and_leaves_the_other_views(size):
    real, synthetic, has = pictures(0, 24, 24), pictures(1, *size), torch.arange(20) % 4 > 0
    torch.manual_seed(0)
    views = with_added_views(real, synthetic, has_synthetic=has, recipes=RECIPES, local_crops=4)
    added = []
    for images in (real, synthetic):
        torch.manual_seed(0)
        plain = real_views(real, RECIPES, 4)
        added.append(view(images, GLOBAL))
    assert torch.equal(views.global_views, plain.global_views)
    assert torch.equal(views.local_views, plain.local_views)
    expected = torch.where(has.view(-1, 1, 1, 1), added[1], added[0])
    torch.testing.assert_close(views.added_views, expected, atol=1e-6, rtol=0)
    assert not views.real_slot.any()
