import pytest

from gensis.images.ahead import one_ahead


@pytest.mark.parametrize(("count", "taken_at_each"), [(0, []), (1, [1]), (4, [2, 3, 4, 4])])
def test_the_next_item_is_taken_before_an_item_is_processed(count, taken_at_each):
    taken = []
    items = (taken.append(number) or number for number in range(count))
    processed = [(item, len(taken)) for item in one_ahead(items)]
    assert processed == list(enumerate(taken_at_each))
