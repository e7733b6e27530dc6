"""Losses that compare images: disentangling sources, and the same results with one and with two processes."""

import math

import pytest
import torch
import torch.distributed as dist
from torch.nn import functional as F

from gensis.ssl.batch import InterpolatedViews
from gensis.ssl.contrast import sources_loss
from gensis.ssl.methods.mocov3 import contrast
from gensis.ssl.methods.simclr import nt_xent
from gensis.training.distributed import World

IMAGES, WIDTH, TEMPERATURE = 6, 5, 0.3
ROWS = torch.tensor([[0, 1, 2, 3, 4, 5], [9, 0, 8, 9, 2, 7]])  # image 0 is a source and a partner, 9 twice a partner


def outputs():
    """Unit outputs of anchors, sources, partners and two further sets, with gradients to what they are made of."""
    raw = torch.randn(5, IMAGES, WIDTH, generator=torch.Generator().manual_seed(0)).requires_grad_()
    return raw, F.normalize(raw, dim=2)


def interpolated():
    generator = torch.Generator().manual_seed(1)
    alpha, counts = torch.rand(IMAGES, generator=generator), torch.tensor([1.0, 1, 0, 1, 1, 1])
    return InterpolatedViews(
        views=torch.zeros(IMAGES, 0),
        partners=torch.zeros(1, IMAGES, 0),
        source_slots=ROWS[:1],
        alpha=alpha,
        counts=counts,
        rows=ROWS,
    )


def reference(anchors, sources, partners, given):
    """The cross-entropy image by image; candidates are those of other images, and the two sources themselves."""
    total = 0.0
    for i in range(IMAGES):
        similarity, target = [], []
        for kind, of_kind in enumerate((sources, partners)):
            for k in range(IMAGES):
                if k == i or ROWS[kind, k] not in ROWS[:, i]:
                    similarity.append(float(anchors[i] @ of_kind[k]) / TEMPERATURE)
                    target.append([given.alpha[i].item(), 1 - given.alpha[i].item()][kind] if k == i else 0.0)
        normaliser = math.log(sum(map(math.exp, similarity)))
        total += given.counts[i].item() * sum(t * (normaliser - s) for s, t in zip(similarity, target))
    return total / IMAGES


def test_the_two_sources_are_recognised_among_all_other_images():
    _, (anchors, sources, partners, *_) = outputs()
    ours = sources_loss(anchors, sources, partners, interpolated=interpolated(), temperature=TEMPERATURE, world=World())
    expected = reference(anchors.detach(), sources.detach(), partners.detach(), interpolated())
    assert ours.item() == pytest.approx(expected, rel=1e-5)


def losses(world):
    """All losses of this process's share, and the gradients by the whole batch's outputs."""
    raw, whole = outputs()
    share = slice(world.rank * IMAGES // world.size, (world.rank + 1) * IMAGES // world.size)
    anchors, sources, partners, first, second = whole[:, share]
    given = {"interpolated": interpolated().part(share), "temperature": TEMPERATURE, "world": world}
    found = torch.stack(
        [
            sources_loss(anchors, sources, partners, **given),
            nt_xent(torch.stack([first, second]), TEMPERATURE, world)[0],
            contrast(first, second.detach(), TEMPERATURE, world)[0],
        ]
    )
    found.sum().backward()
    return world.mean(found.detach().clone()), world.mean(raw.grad)


def share_losses(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    found = losses(World(rank, 2))
    if rank == 0:
        torch.save(found, folder / "found.pt")
    dist.destroy_process_group()


def test_two_processes_share_their_images_and_give_the_gradients_of_one(tmp_path):
    torch.multiprocessing.spawn(share_losses, (tmp_path,), nprocs=2)
    torch.testing.assert_close(torch.load(tmp_path / "found.pt"), losses(World()))
