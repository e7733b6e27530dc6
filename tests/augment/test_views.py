import dataclasses

import pytest
import torch
from tests.allocations import Allocations
from torchvision.transforms import ColorJitter, RandomResizedCrop
from torchvision.transforms.v2 import functional as reference

from gensis.augment.colour import YIQ, jitter_stain
from gensis.augment.resample import crop_resize, prepared
from gensis.augment.views import Draws, ViewRecipe, boxes, draw, make, turns, view

RECIPE = ViewRecipe(
    size_px=64,
    scale=(0.2, 1.0),
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
PLAIN = ViewRecipe(
    size_px=40,
    scale=(1.0, 1.0),
    flip=0,
    rotate=False,
    jitter=0,
    brightness=0.4,
    contrast=0.4,
    saturation=0.2,
    hue=0.1,
    grayscale=0,
    blur=0,
    solarize=0,
)
DRAWS = 4000


@pytest.fixture
def images():
    return torch.randint(0, 256, (40, 3, 50, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def sizes(count, height, width):
    return torch.tensor([height, width]).expand(count, 2)


def distance(ours, theirs):
    """Largest difference of the cumulative distributions of two samples (Kolmogorov and Smirnov)."""
    both = torch.cat([ours, theirs]).double().sort().values
    below = [torch.searchsorted(one.double().sort().values, both, right=True) / len(one) for one in (ours, theirs)]
    return (below[0] - below[1]).abs().max().item()


def test_boxes_follow_the_distribution_of_random_resized_crop():
    torch.manual_seed(0)
    ours = boxes(torch.rand(4, DRAWS), *sizes(DRAWS, 96, 128).T, (0.1, 0.6))
    image = torch.zeros(3, 96, 128)
    theirs = torch.tensor([RandomResizedCrop.get_params(image, [0.1, 0.6], [3 / 4, 4 / 3]) for _ in range(DRAWS)])
    assert max(distance(*columns) for columns in zip(ours.T, theirs.T)) < 0.05
    assert (ours[:, :2] + ours[:, 2:]).amax(0).le(torch.tensor([96, 128])).all()
    assert ours[:, 2:].min() >= 1


def test_colours_follow_the_distribution_of_color_jitter():
    torch.manual_seed(0)
    ranges = [[0.6, 1.4], [0.6, 1.4], [0.8, 1.2], [-0.1, 0.1]]
    theirs = torch.tensor([ColorJitter.get_params(*ranges)[1:] for _ in range(DRAWS)])
    always = dataclasses.replace(RECIPE, jitter=1.0, grayscale=0.0)
    draws = draw(sizes(DRAWS, 40, 40), always)
    assert distance(draws.contrast, theirs[:, 1]) < 0.05
    # In YIQ the matrix scales all axes by the brightness; it rotates the I-Q plane and scales it by the saturation.
    yiq = torch.tensor(YIQ) @ draws.colour @ torch.tensor(YIQ).inverse()
    brightness, cosine, sine = yiq[:, 0, 0], yiq[:, 1, 1], yiq[:, 2, 1]
    assert distance(brightness, theirs[:, 0]) < 0.05
    assert distance(torch.hypot(cosine, sine) / brightness, theirs[:, 2]) < 0.05
    assert distance(torch.atan2(sine, cosine) / (2 * torch.pi), theirs[:, 3]) < 0.05


def test_draws_have_the_probabilities_and_ranges_of_the_recipe():
    torch.manual_seed(0)
    draws = draw(sizes(DRAWS, 40, 40), RECIPE)
    assert draws.blurred.float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert draws.inverted.float().mean().item() == pytest.approx(0.2, abs=0.03)
    assert (draws.contrast != 1).float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert draws.turns.float().mean(0).tolist() == pytest.approx([0.5, 0.5, 0.5], abs=0.03)
    grey = (draws.colour - draws.colour.mean(1, keepdim=True)).abs().amax((1, 2)) < 1e-6
    assert grey.float().mean().item() == pytest.approx(0.2, abs=0.03)
    assert draws.sigma.aminmax() == (pytest.approx(0.1, abs=0.01), pytest.approx(2.0, abs=0.01))
    assert draws.stain_factor.aminmax() == (pytest.approx(0.9, abs=1e-3), pytest.approx(1.1, abs=1e-3))
    assert draws.stain_shift.aminmax() == (pytest.approx(-0.1, abs=1e-3), pytest.approx(0.1, abs=1e-3))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_turns_equal_a_flip_followed_by_rot90(images, flip, quarters):
    square = images[:1, :, :40]
    turned = crop_resize(
        prepared(square), torch.tensor([[0, 0, 40, 40]]), turns(torch.tensor([flip]), torch.tensor([quarters])), 40
    )
    expected = torch.rot90(square.flip(3) if flip else square, quarters, (2, 3))
    assert torch.equal(turned, expected)


def test_views_depend_only_on_the_seed_and_are_in_range(images):
    torch.manual_seed(1)
    first = view(images, RECIPE)
    torch.manual_seed(1)
    assert torch.equal(view(images, RECIPE), first)
    assert first.shape == (40, 3, 64, 64)
    assert first.min() >= 0
    assert first.max() <= 1
    torch.manual_seed(2)
    assert not torch.equal(view(images, RECIPE), first)


def test_a_view_does_not_depend_on_other_images_of_the_batch(images):
    torch.manual_seed(1)
    together = view(images, RECIPE)
    torch.manual_seed(1)
    draws = draw(sizes(40, 50, 40), RECIPE)
    for number in range(40):
        alone = make(prepared(images[[number]]), Draws(*(values[[number]] for values in draws)), RECIPE)
        torch.testing.assert_close(together[[number]], alone, atol=1e-6, rtol=0)


def test_threads_do_not_change_the_views_or_torchs_thread_count(images):
    before = torch.get_num_threads()
    try:
        views = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            torch.manual_seed(1)
            views.append(view(images, RECIPE))
            assert torch.get_num_threads() == threads
        assert torch.equal(*views)
    finally:
        torch.set_num_threads(before)


def test_gpu_views_equal_cpu_views_within_two_grey_levels(images):
    torch.manual_seed(1)
    recipe = dataclasses.replace(RECIPE, brightness=0.0, contrast=0.0, saturation=0.0, stain=0.0)
    draws = draw(sizes(40, 50, 40), recipe)
    difference = (make(prepared(images), draws, recipe) - make(images.float(), draws, recipe)).abs() * 255
    assert difference.max() < 2
    assert difference.mean() < 0.5


def test_a_view_without_distortions_is_the_crop(images):
    draws = draw(sizes(40, 50, 40), PLAIN)
    crops = crop_resize(prepared(images), draws.boxes, draws.turns, 40)
    torch.testing.assert_close(make(prepared(images), draws, PLAIN), crops / 255, atol=1e-6, rtol=0)


def test_views_on_a_gpu_allocate_parts_of_a_large_batch():
    recipe = dataclasses.replace(RECIPE, size_px=224)
    images = prepared(torch.empty((512, 3, 256, 256), dtype=torch.uint8, device="meta"))
    out = torch.empty((512, 3, 224, 224), device="meta")
    with Allocations() as allocated:
        assert view(images, recipe, out=out) is out
    assert max(size for _, size in allocated.calls) < 0.15e9  # the views take 0.3e9


def test_a_view_is_its_crop_recoloured_then_blurred_then_solarised(images):
    always = {
        "jitter": 1.0,
        "grayscale": 0.0,
        "saturation": 0.0,
        "hue": 0.0,
        "blur": 1.0,
        "solarize": 1.0,
        "stain": 0.0,
    }
    recipe = dataclasses.replace(RECIPE, **always)
    draws = draw(sizes(40, 50, 40), recipe)
    expected = []
    for number, crop in enumerate(crop_resize(prepared(images), draws.boxes, draws.turns, 64) / 255):
        crop = reference.adjust_brightness(crop, draws.colour[number, 0, 0].item())
        crop = reference.adjust_contrast(crop, draws.contrast[number].item())
        crop = reference.gaussian_blur(crop, [13, 13], [draws.sigma[number].item()] * 2)
        expected.append(reference.solarize(crop, 0.5))
    torch.testing.assert_close(make(prepared(images), draws, recipe), torch.stack(expected), atol=2e-4, rtol=0)


def test_the_stain_of_a_view_is_changed(images):
    recipe = dataclasses.replace(RECIPE, jitter=0.0, grayscale=0.0, blur=0.0, solarize=0.0)
    draws = draw(sizes(40, 50, 40), recipe)
    crops = crop_resize(prepared(images), draws.boxes, draws.turns, 64) / 255
    expected = jitter_stain(crops, draws.stain_factor, draws.stain_shift)
    torch.testing.assert_close(make(prepared(images), draws, recipe), expected, atol=1e-6, rtol=0)
    assert (expected - crops).abs().mean() > 0.01
