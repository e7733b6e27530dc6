import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gensis.images.rows import format_rows, parse_rows


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_rows_round_trip_through_their_text(chosen):
    chosen = np.array(chosen)
    assert np.array_equal(parse_rows(format_rows(chosen), len(chosen)), np.flatnonzero(chosen))


@pytest.mark.parametrize(
    ("chosen", "text"),
    [([1, 1, 1], ""), ([0, 0], "none"), ([1, 0, 1, 1, 0, 1, 1, 1], "0,2-3,5-7"), ([0, 1], "1"), ([], "")],
)
def test_the_text_of_ranges_of_all_and_of_no_rows(chosen, text):
    assert format_rows(np.array(chosen, bool)) == text
