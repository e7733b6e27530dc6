import pytest
import torch
from tests.on_device.fake_card import CUDA, fake_card

from gensis.augment.colour import constants


@pytest.fixture
def card():
    """See `fake_card`. The constants of the views, which are copied only once, are on `cuda` already."""
    constants.cache_clear()
    with fake_card() as card:
        constants(torch.zeros(0, device=CUDA).device)
        card.waits()
        yield card
    constants.cache_clear()
