"""Value ranges and axis orders of image tensors."""

import pytest
import torch

from gensis.ranges import from_signed, from_unit, to_bytes, to_nchw, to_nhwc, to_signed, to_unit

BYTES = torch.arange(256, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("to_range", "from_range", "low", "high"), [(to_unit, from_unit, 0, 1), (to_signed, from_signed, -1, 1)]
)
@pytest.mark.parametrize("pixels", [BYTES, BYTES.float()], ids=["uint8", "float32"])
def test_every_byte_survives_a_float_range(to_range, from_range, low, high, pixels):
    values = to_range(pixels)
    assert values.dtype == torch.float32
    expected = low + (high - low) * BYTES.double() / 255
    torch.testing.assert_close(values.double(), expected, atol=1e-7, rtol=0)
    assert torch.equal(to_bytes(from_range(values)), BYTES)


def test_axis_orders_are_views_of_the_same_pixels():
    images = torch.arange(2 * 4 * 5 * 3).view(2, 4, 5, 3)
    assert to_nchw(images).shape == (2, 3, 4, 5)
    assert to_nchw(images)[1, 2, 3, 4] == images[1, 3, 4, 2]
    assert torch.equal(to_nhwc(to_nchw(images)), images)
    assert to_nchw(images).data_ptr() == images.data_ptr()
