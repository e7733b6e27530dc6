import shutil

import pytest

from gensis.bank.blocks import Blocks

IMAGES = [bytes([number]) * (number % 5 + 1) for number in range(23)]


class Killed(Exception):
    pass


def generator(started, killed_at=None):
    """Generates IMAGES from a given one on, notes where it began, and dies before image ``killed_at``."""

    def generate(start):
        started.append(start)
        for number in range(start, len(IMAGES)):
            if number == killed_at:
                raise Killed
            yield IMAGES[number]

    return generate


@pytest.mark.parametrize("killed_at", [0, 3, 4, 5, 12, 22])
def test_a_job_killed_anywhere_goes_on_after_its_last_whole_block(tmp_path, killed_at):
    started = []
    for _ in range(2):
        with pytest.raises(Killed):
            list(Blocks(tmp_path / "a", 4, 0.0).resumed(generator(started, killed_at)))
    assert list(Blocks(tmp_path / "a", 4, 0.0).resumed(generator(started))) == IMAGES
    assert started == [0, *[killed_at // 4 * 4] * 2]


def test_blocks_end_where_batches_do_and_are_not_written_before_their_time(tmp_path):
    list(Blocks(tmp_path / "often", 4, 0.0).resumed(generator([])))
    assert len(list((tmp_path / "often").iterdir())) == 5
    list(Blocks(tmp_path / "never", 4, 1e9).resumed(generator([])))
    assert not (tmp_path / "never").exists()


def test_a_block_that_was_being_written_is_not_taken_for_one(tmp_path):
    blocks = Blocks(tmp_path / "a", 4, 0.0)
    with pytest.raises(Killed):
        list(blocks.resumed(generator([], 9)))
    (tmp_path / "a" / ".000000000008.npz.123.tmp").write_bytes(b"half")
    assert list(blocks.resumed(generator([]))) == IMAGES


def test_blocks_of_two_jobs_that_shared_a_folder_put_no_image_in_anothers_place(tmp_path):
    """The second job began when the first had written nothing, was slower, and so wrote longer blocks."""
    for name, batch_size, killed_at in (("first", 4, 17), ("second", 8, 9)):
        with pytest.raises(Killed):
            list(Blocks(tmp_path / name, batch_size, 0.0).resumed(generator([], killed_at)))
    shutil.copytree(tmp_path / "second", tmp_path / "first", dirs_exist_ok=True)
    assert list(Blocks(tmp_path / "first", 4, 0.0).resumed(generator([]))) == IMAGES


def test_no_flipped_bit_of_a_block_changes_an_image_or_ends_the_job(tmp_path):
    with pytest.raises(Killed):
        list(Blocks(tmp_path, 4, 0.0).resumed(generator([], 5)))
    (block,) = tmp_path.iterdir()
    whole = block.read_bytes()
    for bit in range(0, 8 * len(whole), 7):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        block.write_bytes(damaged)
        images = Blocks(tmp_path, 4, 1e9).resumed(generator([]))
        assert [next(images) for _ in range(4)] == IMAGES[:4]


@pytest.mark.parametrize("damage", [b"", b"half a block"])
def test_a_spoilt_block_is_generated_again(tmp_path, damage):
    with pytest.raises(Killed):
        list(Blocks(tmp_path, 4, 0.0).resumed(generator([], 13)))
    sorted(tmp_path.iterdir())[1].write_bytes(damage)
    started = []
    assert list(Blocks(tmp_path, 4, 0.0).resumed(generator(started))) == IMAGES
    assert started == [4]
