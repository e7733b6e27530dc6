import os
import shutil

import pytest

from gensis.artifacts.contents import Contents


@pytest.fixture
def version(tmp_path):
    """Ask anew for the version of some files, as every planning does."""

    def ask(*sampled, whole=(), failed=False, name="unit"):
        memory = Contents(tmp_path / "memory/contents.tsv")
        return memory.version(name, tuple(map(str, sampled)), tuple(map(str, whole)), lambda: failed)

    return ask


@pytest.fixture
def slide(tmp_path):
    path = tmp_path / "slide"
    path.write_bytes(bytes(range(256)) * 40)
    return path


def edit(path, position, dated=True):
    """Change one byte in place."""
    date = path.stat()
    with open(path, "r+b") as stream:
        stream.seek(position)
        byte = stream.read(1)[0]
        stream.seek(position)
        stream.write(bytes([byte ^ 1]))
    if not dated:
        os.utime(path, ns=(date.st_atime_ns, date.st_mtime_ns))


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("position", [0, 5000, 10239])
def test_an_edit_of_the_same_size_is_another_version_and_its_undoing_the_old_one(version, slide, position, dated):
    before = version(slide)
    edit(slide, position, dated)
    assert version(slide) != before
    edit(slide, position, dated)
    assert version(slide) == before


def test_a_copy_with_a_new_date_is_the_same_version(version, slide, tmp_path):
    before = version(slide)
    shutil.copy(slide, tmp_path / "copy")
    os.replace(tmp_path / "copy", slide)
    os.utime(slide, (1, 1))
    assert version(slide) == before


def test_a_copy_is_another_version_after_a_failure_and_stays_it(version, slide, tmp_path):
    before = version(slide)
    assert version(slide, failed=True) == before  # the file that failed
    shutil.copy2(slide, tmp_path / "copy")  # with its date
    os.replace(tmp_path / "copy", slide)
    again = version(slide, failed=True)
    assert again != before
    assert version(slide) == version(slide, failed=True) == again


def test_of_a_large_mask_every_byte_counts_of_a_large_slide_some_do(version, tmp_path):
    large = tmp_path / "large"
    large.write_bytes(bytes(1 << 20))
    as_slide, as_mask = version(large, name="slide"), version(whole=[large], name="mask")
    edit(large, 50_000)  # between two blocks
    assert version(large, name="slide") == as_slide
    assert version(whole=[large], name="mask") != as_mask


def test_what_is_remembered_counts_while_sizes_and_dates_stay(version, slide, tmp_path):
    memory = tmp_path / "memory/contents.tsv"
    before = version(slide)
    memory.write_text(memory.read_text().replace(before, "remembered"))
    assert version(slide) == "remembered"


def test_a_file_that_cannot_be_read_counts_by_its_dates(version, tmp_path):
    folder = tmp_path / "a-folder-is-not-read"
    folder.mkdir()
    before = version(folder)
    assert version(folder) == before
    os.utime(folder, (1, 1))
    assert version(folder) != before


def test_files_that_come_go_or_are_named_otherwise_are_another_version(version, slide, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"other")
    assert len({version(slide), version(slide, other), version(other, slide), version(other)}) == 4


def test_a_line_cut_by_a_kill_is_one_that_is_not_there(version, slide, tmp_path):
    before = version(slide)
    memory = tmp_path / "memory/contents.tsv"
    memory.write_text(memory.read_text() + "unit\tabc")
    assert version(slide) == before


def test_the_memory_does_not_grow_with_every_planning(version, slide, tmp_path):
    for second in range(20):
        os.utime(slide, (second, second))
        version(slide)
    assert len((tmp_path / "memory/contents.tsv").read_text().splitlines()) <= 4


def test_what_cannot_be_remembered_is_found_again(slide, tmp_path):
    (tmp_path / "file").touch()
    versions = {Contents(tmp_path / "file/contents.tsv").version("unit", (str(slide),)) for _ in range(2)}
    assert len(versions) == 1
