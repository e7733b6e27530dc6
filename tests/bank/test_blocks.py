import argparse
import shutil

import pytest
import torch

import generate_bank
from gensis.bank.blocks import Blocks

IMAGES = [bytes([number]) * (number % 5 + 1) for number in range(23)]


class Killed(Exception):
    pass


def generator(started, killed_at=None):
    """Yields IMAGES from a start on, records the start, and fails before image number ``killed_at``."""

    def generate(start):
        started.append(start)
        for number in range(start, len(IMAGES)):
            if number == killed_at:
                raise Killed
            yield IMAGES[number]

    return generate


@pytest.mark.parametrize("killed_at", [0, 3, 4, 5, 12, 22])
def test_a_killed_job_resumes_after_its_last_complete_block(tmp_path, killed_at):
    started = []
    for _ in range(2):
        with pytest.raises(Killed):
            list(Blocks(tmp_path / "a", 4, 0.0).resumed(generator(started, killed_at)))
    assert list(Blocks(tmp_path / "a", 4, 0.0).resumed(generator(started))) == IMAGES
    assert started == [0, *[killed_at // 4 * 4] * 2]


def test_blocks_end_with_a_batch_and_are_written_after_their_time(tmp_path):
    list(Blocks(tmp_path / "often", 4, 0.0).resumed(generator([])))
    assert len(list((tmp_path / "often").iterdir())) == 5
    list(Blocks(tmp_path / "never", 4, 1e9).resumed(generator([])))
    assert not (tmp_path / "never").exists()


def test_an_incomplete_block_is_ignored(tmp_path):
    blocks = Blocks(tmp_path / "a", 4, 0.0)
    with pytest.raises(Killed):
        list(blocks.resumed(generator([], 9)))
    (tmp_path / "a" / ".000000000008.npz.123.tmp").write_bytes(b"half")
    assert list(blocks.resumed(generator([]))) == IMAGES


def test_blocks_of_two_jobs_in_one_folder_keep_images_in_order(tmp_path):
    """The second job started before the first had written a block, and wrote longer blocks since it was slower."""
    for name, batch_size, killed_at in (("first", 4, 17), ("second", 8, 9)):
        with pytest.raises(Killed):
            list(Blocks(tmp_path / name, batch_size, 0.0).resumed(generator([], killed_at)))
    shutil.copytree(tmp_path / "second", tmp_path / "first", dirs_exist_ok=True)
    assert list(Blocks(tmp_path / "first", 4, 0.0).resumed(generator([]))) == IMAGES


def test_a_flipped_bit_in_a_block_changes_no_image_and_fails_no_job(tmp_path):
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
def test_images_of_a_damaged_block_are_generated_again(tmp_path, damage):
    with pytest.raises(Killed):
        list(Blocks(tmp_path, 4, 0.0).resumed(generator([], 13)))
    sorted(tmp_path.iterdir())[1].write_bytes(damage)
    started = []
    assert list(Blocks(tmp_path, 4, 0.0).resumed(generator(started))) == IMAGES
    assert started == [4]


def test_blocks_of_other_settings_seeds_or_inputs_are_not_resumed(tmp_path):
    def folder(config={"guidance": 1}, seed=0, inputs={"diffusion": "x"}):
        given = argparse.Namespace(config=config, seed=seed, generative=tmp_path / "a.h5", checkpoints=tmp_path)
        return generate_bank.checkpoint_folder(given, inputs, range(4), batch_size=4, device=torch.device("cpu"))

    changes = [{}, {"config": {"guidance": 2}}, {"seed": 1}, {"inputs": {"diffusion": "y"}}]
    assert len({folder(**change) for change in changes}) == 4
