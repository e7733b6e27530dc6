import pytest

from gensis.bank.blocks import Blocks

IMAGES = [bytes([number]) * (number % 5 + 1) for number in range(23)]


class Killed(Exception):
    pass


def painter(started, killed_at=None):
    """Paints IMAGES from a given one on, notes where it began, and dies before image ``killed_at``."""

    def paint(start):
        started.append(start)
        for number in range(start, len(IMAGES)):
            if number == killed_at:
                raise Killed
            yield IMAGES[number]

    return paint


@pytest.mark.parametrize("killed_at", [0, 3, 4, 5, 12, 22])
def test_a_job_killed_anywhere_goes_on_after_its_last_whole_block(tmp_path, killed_at):
    started = []
    for _ in range(2):
        with pytest.raises(Killed):
            list(Blocks(tmp_path / "a", 4, 0.0).resumed(painter(started, killed_at)))
    assert list(Blocks(tmp_path / "a", 4, 0.0).resumed(painter(started))) == IMAGES
    assert started == [0, *[killed_at // 4 * 4] * 2]


def test_blocks_end_where_batches_do_and_are_not_written_before_their_time(tmp_path):
    list(Blocks(tmp_path / "often", 4, 0.0).resumed(painter([])))
    assert len(list((tmp_path / "often").iterdir())) == 5
    list(Blocks(tmp_path / "never", 4, 1e9).resumed(painter([])))
    assert not (tmp_path / "never").exists()


def test_a_block_that_was_being_written_is_not_taken_for_one(tmp_path):
    blocks = Blocks(tmp_path / "a", 4, 0.0)
    with pytest.raises(Killed):
        list(blocks.resumed(painter([], 9)))
    (tmp_path / "a" / ".000002.npz.123.tmp").write_bytes(b"half")
    assert list(blocks.resumed(painter([]))) == IMAGES
