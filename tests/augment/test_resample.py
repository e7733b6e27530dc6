import pytest
import torch
from tests.allocations import Allocations
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from gensis.augment.resample import crop_resize, prepared, resize

BOXES = [[3, 2, 30, 20], [0, 0, 50, 40], [10, 10, 8, 9], [5, 5, 40, 30], [49, 39, 1, 1], [0, 0, 16, 16]]
# Mirror the rows, mirror the columns, swap the axes.
TURNS = [[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 1], [0, 1, 1]]


@pytest.fixture
def images():
    return torch.randint(0, 256, (6, 3, 50, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def torchvisions(image, box, turns, size_px):
    rows, columns, axes = turns
    crop = reference.resized_crop(image, *box, [size_px, size_px], InterpolationMode.BICUBIC, antialias=True)
    crop = reference.vertical_flip(crop) if rows else crop
    crop = reference.horizontal_flip(crop) if columns else crop
    return crop.transpose(1, 2) if axes else crop


@pytest.mark.parametrize("size_px", [16, 37])
def test_crops_equal_torchvisions_antialiased_bicubic_resize(images, size_px):
    ours = crop_resize(prepared(images), torch.tensor(BOXES), torch.tensor(TURNS).bool(), size_px)
    theirs = torch.stack([torchvisions(*one, size_px) for one in zip(images, BOXES, TURNS)])
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("size_px", [16, 37])
def test_gpu_crops_equal_torchvision_except_for_rounding(images, size_px):
    ours = crop_resize(images.float(), torch.tensor(BOXES), torch.tensor(TURNS).bool(), size_px)
    theirs = torch.stack([torchvisions(*one, size_px) for one in zip(images, BOXES, TURNS)])
    torch.testing.assert_close(ours, theirs.float(), atol=1.2, rtol=0)
    assert (ours - theirs).abs().mean() < 0.35
    assert (ours - theirs).mean().abs() < 0.05


def test_gpu_crops_equal_torchvision_in_float_without_clipping(images):
    grey = images.float() / 4 + 96
    ours = crop_resize(grey, torch.tensor(BOXES), torch.tensor(TURNS).bool(), 16)
    theirs = torch.stack([torchvisions(*one, 16) for one in zip(grey, BOXES, TURNS)])
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)


def test_resize_equals_torchvision_and_keeps_images_of_the_right_size(images):
    theirs = reference.resize(images, [24, 24], InterpolationMode.BICUBIC, antialias=True)
    assert torch.equal(resize(images, 24), theirs.float())
    square = images[:, :, :40]
    assert torch.equal(resize(square, 40), square.float())


def test_gpu_crops_copy_neither_images_nor_matrices(images):
    images, boxes, turns = (each.to("meta") for each in (images, torch.tensor(BOXES), torch.tensor(TURNS).bool()))
    images = prepared(images.contiguous(memory_format=torch.channels_last))
    with Allocations() as allocated:
        crop_resize(images, boxes, turns, 32)
    of_crops = len(BOXES) * 3 * 32 * 32 * 4
    assert [name for name, size in allocated.calls if size >= of_crops] == ["bmm", "bmm", "where"]
