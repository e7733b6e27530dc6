import pytest
import torch

from gensis.ssl.backbone import Encoder, create_backbone
from gensis.ssl.perceptual import PerceptualDistance
from gensis.ssl.preprocessing import Preprocessing

VIT = {"patch_size": 8, "embed_dim": 24, "depth": 6, "num_heads": 2}
BACKBONES = [("vit_tiny_patch16_224", VIT), ("resnet10t", {}), ("resnet18_cifar", {})]


def make(name, arguments, image_px=32):
    torch.manual_seed(0)
    backbone, _ = create_backbone(name, image_px, arguments)
    return Encoder(backbone, Preprocessing((image_px, image_px), (0.5,) * 3, (0.25,) * 3))


def pair(side_px):
    generator = torch.Generator().manual_seed(1)
    return (255 * torch.rand(3, 3, side_px, side_px, generator=generator) for _ in range(2))


@pytest.mark.parametrize(("name", "arguments"), BACKBONES)
@pytest.mark.parametrize("side_px", [32, 48])
def test_only_the_images_get_a_gradient_through_the_resize(name, arguments, side_px):
    encoder = make(name, arguments)
    images, originals = (each.requires_grad_() for each in pair(side_px))
    distance = PerceptualDistance(encoder)(images, originals)
    distance.backward()
    assert 0 < distance < 4
    assert images.grad.abs().sum() > 0
    assert originals.grad is None
    assert all(weight.grad is None for weight in encoder.parameters())


@pytest.mark.parametrize(("name", "arguments"), BACKBONES)
def test_equal_images_have_distance_zero_and_the_encoder_does_not_change(name, arguments):
    encoder = make(name, arguments)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    images, _ = pair(32)
    assert PerceptualDistance(encoder)(images, images.clone()) == 0
    assert all(value.equal(before[key]) for key, value in encoder.state_dict().items())


def test_distance_is_two_minus_twice_the_cosine_at_evenly_spaced_blocks():
    encoder = make("vit_tiny_patch16_224", VIT)
    tokens = []
    for block in (0, 2, 3, 5):
        encoder.backbone.blocks[block].register_forward_hook(lambda module, given, out: tokens.append(out[:, 1:]))
    images, originals = pair(32)
    with torch.no_grad():
        encoder(images)
        encoder(originals)
        cosines = [torch.cosine_similarity(one, other, dim=2).mean() for one, other in zip(tokens[:4], tokens[4:])]
    found = PerceptualDistance(encoder)(images, originals)
    torch.testing.assert_close(found, 2 - 2 * torch.stack(cosines).mean())
