import math

import pytest
import torch
from torch.nn.functional import normalize

from gensis.diffusion.pipeline import slerp


def unit_vectors(count: int, width: int, seed: int) -> torch.Tensor:
    return normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_alpha_one_gives_the_first_and_zero_the_second():
    first, second = unit_vectors(5, 16, 0), unit_vectors(5, 16, 1)
    torch.testing.assert_close(slerp(first, second, torch.ones(5)), first)
    torch.testing.assert_close(slerp(first, second, torch.zeros(5)), second)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.8])
def test_agrees_with_the_textbook_formula(alpha):
    first, second = unit_vectors(50, 8, 2).double(), unit_vectors(50, 8, 3).double()
    omega = torch.acos((first * second).sum(1, keepdim=True))
    expected = (torch.sin(alpha * omega) * first + torch.sin((1 - alpha) * omega) * second) / torch.sin(omega)
    torch.testing.assert_close(slerp(first, second, torch.full((50,), alpha).double()), expected)


def test_interpolated_vectors_have_unit_norm():
    alpha = torch.linspace(0, 1, 200)
    interpolated = slerp(unit_vectors(200, 32, 4), unit_vectors(200, 32, 5), alpha)
    torch.testing.assert_close(interpolated.norm(dim=1), torch.ones(200))


def test_swapping_both_vectors_mirrors_alpha():
    first, second, alpha = unit_vectors(20, 8, 6), unit_vectors(20, 8, 7), torch.linspace(0, 1, 20)
    torch.testing.assert_close(slerp(first, second, alpha), slerp(second, first, 1 - alpha))


@pytest.mark.parametrize("noise", [0.0, 1e-8, 1e-6, 1e-4, 1e-3])
@pytest.mark.parametrize("sign", [1, -1])
def test_nearly_parallel_and_opposite_vectors_stay_on_the_arc_between_them(sign, noise):
    first = unit_vectors(10, 16, 8)
    second = normalize(sign * first + noise * unit_vectors(10, 16, 9), dim=1)
    middle = slerp(first, second, torch.full((10,), 0.5))
    torch.testing.assert_close(middle.norm(dim=1), torch.ones(10))
    half = 0.0 if sign == 1 else math.pi / 2
    angle = torch.atan2((middle - first).norm(dim=1), (middle + first).norm(dim=1)) * 2
    torch.testing.assert_close(angle, torch.full((10,), half), atol=2e-3, rtol=0)
    torch.testing.assert_close(slerp(first, second, torch.zeros(10)), second, atol=5e-4, rtol=0)
