import colorsys

import pytest
import torch
from torchvision.transforms.v2 import RandomResizedCrop
from torchvision.transforms.v2 import functional as reference

from gensis.augment.colour import adjust_contrast, colour_matrices, gaussian_blur, recolour, solarize
from gensis.augment.resample import crop_resize, resize
from gensis.augment.views import ViewRecipe, boxes, view

RECIPE = ViewRecipe(
    size_px=16,
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
)


@pytest.fixture
def images():
    return torch.randint(0, 256, (6, 3, 50, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_crop_resize_equals_torchvisions_antialiased_bicubic(images):
    areas = torch.tensor(
        [[3, 2, 30, 20], [0, 0, 50, 40], [10, 10, 8, 9], [5, 5, 40, 30], [49, 39, 1, 1], [0, 0, 16, 16]]
    )
    flip = torch.tensor([False, True, False, True, False, False])
    ours = crop_resize(images, areas, flip, 16)
    for number, (top, left, height, width) in enumerate(areas.tolist()):
        theirs = reference.resized_crop(
            images[number].float(), top, left, height, width, [16, 16], reference.InterpolationMode.BICUBIC, True
        ).clamp(0, 255)
        theirs = theirs.flip(2) if flip[number] else theirs
        torch.testing.assert_close(ours[number], theirs, atol=1e-3, rtol=0)


def test_resize_of_whole_images_equals_torchvision_and_leaves_the_right_size_alone(images):
    theirs = reference.resize(images.float(), [24, 24], reference.InterpolationMode.BICUBIC, antialias=True).clamp(
        0, 255
    )
    torch.testing.assert_close(resize(images, 24), theirs, atol=1e-3, rtol=0)
    square = images[:, :, :40]
    assert torch.equal(resize(square, 40), square.float())


def test_boxes_follow_the_distribution_of_random_resized_crop():
    torch.manual_seed(0)
    ours = boxes(torch.rand(4, 4000), 64, 64, (0.2, 0.6)).double()
    image = torch.zeros(3, 64, 64)
    theirs = (
        torch.tensor(
            [
                RandomResizedCrop.make_params(RandomResizedCrop(8, (0.2, 0.6)), [image])[key]
                for _ in range(4000)
                for key in ("top", "left", "height", "width")
            ]
        )
        .view(-1, 4)
        .double()
    )
    torch.testing.assert_close(ours.mean(0), theirs.mean(0), atol=0.8, rtol=0)
    torch.testing.assert_close(ours.std(0), theirs.std(0), atol=0.8, rtol=0)
    assert (ours[:, 0] + ours[:, 2]).max() <= 64
    assert (ours[:, 1] + ours[:, 3]).max() <= 64
    assert ours[:, 2:].min() >= 1


def test_brightness_saturation_and_contrast_equal_torchvision(images):
    pixels = images.float() / 255
    factors = torch.tensor([0.6, 0.8, 1.0, 1.2, 1.4, 0.0])
    one, zero = torch.ones(6), torch.zeros(6)
    bright = recolour(pixels, colour_matrices(factors, one, zero))
    saturated = recolour(pixels, colour_matrices(one, factors, zero))
    contrasted = adjust_contrast(pixels, factors)
    for number, factor in enumerate(factors.tolist()):
        image = pixels[number]
        torch.testing.assert_close(bright[number], reference.adjust_brightness(image, factor))
        torch.testing.assert_close(saturated[number], reference.adjust_saturation(image, factor), atol=2e-3, rtol=0)
        torch.testing.assert_close(contrasted[number], reference.adjust_contrast(image, factor), atol=2e-3, rtol=0)


def test_a_hue_shift_turns_the_hue_by_that_part_of_the_circle_and_keeps_grey():
    colours = torch.tensor([[0.6, 0.4, 0.4], [0.4, 0.55, 0.45], [0.5, 0.5, 0.5]]).view(3, 3, 1, 1)
    shift = torch.full((3,), 0.1)
    turned = recolour(colours, colour_matrices(torch.ones(3), torch.ones(3), shift)).view(3, 3)
    torch.testing.assert_close(turned[2], torch.full((3,), 0.5), atol=1e-4, rtol=0)
    for before, after in zip(colours.view(3, 3)[:2], turned[:2]):
        difference = colorsys.rgb_to_hsv(*after.tolist())[0] - colorsys.rgb_to_hsv(*before.tolist())[0]
        assert abs(abs((difference + 0.5) % 1 - 0.5) - 0.1) < 0.05


def test_blur_equals_torchvision_with_each_images_own_sigma(images):
    pixels = images.float() / 255
    sigma = torch.tensor([0.1, 0.5, 1.0, 1.5, 1.9, 2.0])
    ours = gaussian_blur(pixels, sigma)
    for number, value in enumerate(sigma.tolist()):
        torch.testing.assert_close(ours[number], reference.gaussian_blur(pixels[number], [13, 13], [value, value]))


def test_solarize_inverts_the_bright_half():
    assert torch.equal(solarize(torch.tensor([0.0, 0.25, 0.75, 1.0])), torch.tensor([0.0, 0.25, 0.25, 0.0]))


def test_views_depend_on_the_seed_alone_and_stay_in_range(images):
    torch.manual_seed(1)
    first = view(images, RECIPE)
    torch.manual_seed(1)
    assert torch.equal(view(images, RECIPE), first)
    assert first.shape == (6, 3, 16, 16)
    assert first.min() >= 0
    assert first.max() <= 1
    torch.manual_seed(2)
    assert not torch.equal(view(images, RECIPE), first)


def test_the_plain_recipe_returns_the_image(images):
    plain = ViewRecipe(40, (1.0, 1.0), 0, False, 0, 0.4, 0.4, 0.2, 0.1, 0, 0, 0)
    square = images[:, :, :40]
    whole = torch.tensor([0, 0, 40, 40]).expand(6, 4)
    torch.testing.assert_close(crop_resize(square, whole, torch.zeros(6, dtype=torch.bool), 40), square.float())
    assert view(square, plain).shape == (6, 3, 40, 40)
