"""The fake GPU finds what a GPU would refuse or wait for."""

import pytest
import torch
from tests.on_device.fake_card import CUDA, backward
from tests.ssl.conftest import TINY

from gensis.ssl.backbone import create_backbone

ON_CPU = torch.arange(4.0)
PINNED = {"non_blocking": True}
WAITS = {
    "item": (lambda x: x[0].item(), "item"),
    "bool": (lambda x: bool(x.any()), "item"),
    "float": (lambda x: float(x.sum()), "item"),
    "equal": (lambda x: torch.equal(x, x), "equal"),
    "tolist": (lambda x: x.tolist(), "copy to cpu"),
    "cpu": (lambda x: x.cpu(), "copy to cpu"),
    "to cpu": (lambda x: x.to("cpu"), "copy to cpu"),
    "copy_ to cpu": (lambda x: torch.empty(4).copy_(x), "copy to cpu"),
    "not pinned": (lambda x: ON_CPU.to(CUDA, **PINNED), "copy to cuda"),
    "blocking": (lambda x: ON_CPU.pin_memory().to(CUDA), "copy to cuda"),
    "other type": (lambda x: ON_CPU.pin_memory().to(CUDA, torch.float64, **PINNED), "copy to cuda"),
    "new tensor": (lambda x: torch.tensor([1.0, 2.0], device=CUDA), "copy to cuda"),
    "assignment": (lambda x: x.__setitem__(slice(4), ON_CPU), "copy to cuda"),
    "index": (lambda x: x[torch.tensor([0, 1])], "hidden copy"),
    "where": (lambda x: torch.where(x > 0, x, torch.tensor(1.0)), "hidden copy"),
}
NETWORKS = {
    "resnet18_cifar": {"channels": (8, 8, 8, 8)},
    "vit_tiny_patch16_224": TINY["backbone_args"],
}
REFUSED = {
    "sum": lambda x: x + ON_CPU,
    "matmul": lambda x: x @ ON_CPU,
    "cat": lambda x: torch.cat([x, ON_CPU]),
    "stack": lambda x: torch.stack([x[0], ON_CPU[0]]),
    "index": lambda x: ON_CPU[x.long()],
    "numpy": lambda x: x.numpy(),
    "nonzero": lambda x: x.nonzero(),
    "boolean index": lambda x: x[x > 0],
}


@pytest.mark.parametrize("case", WAITS)
def test_waits_are_counted(card, case):
    action, kind = WAITS[case]
    x = torch.zeros(4, device=CUDA)
    assert card.waits() == {}
    action(x)
    assert card.waits() == {f"test: {kind}": 1}


@pytest.mark.parametrize("case", REFUSED)
def test_mixed_devices_and_shapes_that_depend_on_values_raise(card, case):
    with pytest.raises((RuntimeError, TypeError)):
        REFUSED[case](torch.zeros(4, device=CUDA))


def test_asynchronous_copies_are_no_waits(card):
    x = torch.empty(4, pin_memory=True)
    x.to(CUDA, non_blocking=True)
    x.copy_(torch.zeros(4, device=CUDA), non_blocking=True)
    assert card.waits() == {}


def test_values_on_the_cpu_are_real(card):
    assert (torch.arange(3) + 1).tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_equal_those_of_torch(name):
    torch.manual_seed(0)
    network, _ = create_backbone(name, 16, NETWORKS[name])
    loss = network(torch.randn(2, 3, 16, 16)).square().mean()
    expected = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
    backward(loss)
    for parameter, gradient in zip(network.parameters(), expected):
        assert torch.equal(parameter.grad, gradient)
