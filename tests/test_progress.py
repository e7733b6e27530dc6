import logging
from itertools import count
from types import SimpleNamespace

import pytest

from gensis import progress as module
from gensis.progress import duration, progress, time_left


@pytest.fixture
def lines(caplog, monkeypatch):
    """The log, in a world where a look at the clock takes 25 seconds, and without a terminal."""
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=count(step=25).__next__))
    monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: False)))
    caplog.set_level(logging.INFO, module.__name__)
    return caplog


def test_long_loops_log_a_line_a_minute_and_their_end(lines):
    assert list(progress(range(4), 4, "slides")) == [0, 1, 2, 3]
    assert lines.messages == ["3 of 4 slides, 0.0/s, 25 s left", "4 of 4 slides, 0.0/s, 0 s left"]


def test_short_loops_log_nothing(lines):
    assert list(progress("ab", 2, "slides")) == ["a", "b"]
    assert lines.messages == []


def test_on_a_terminal_every_item_that_takes_ten_seconds_has_a_line(lines, monkeypatch):
    monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: True)))
    assert len(list(progress(range(4), 4, "slides"))) == len(lines.messages) == 4


def test_batches_count_by_their_size(lines):
    batches = [[0] * 500] * 5 + [[0] * 20]
    assert list(progress(batches, 2520, "images", size=len)) == batches
    assert lines.messages[0] == "1500 of 2520 images, 20.0/s, 51 s left"


def test_time_left_is_that_of_the_rest_at_the_same_pace():
    assert time_left(10, 30, 600) == duration(1200) == "20 min"
    assert time_left(0, 30, 5) == "unknown time"
    assert (duration(89), duration(3 * 3600)) == ("89 s", "3.0 h")
