import os
import shutil

import pytest

from gensis.artifacts.contents import Contents


@pytest.fixture
def version(tmp_path):
    """The version of some files in a new process, as each time that the pipeline is planned."""

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
def test_an_edit_of_the_same_size_changes_the_version_and_undoing_restores_it(version, slide, position, dated):
    before = version(slide)
    edit(slide, position, dated)
    assert version(slide) != before
    edit(slide, position, dated)
    assert version(slide) == before


def test_a_copy_with_a_new_date_has_the_same_version(version, slide, tmp_path):
    before = version(slide)
    shutil.copy(slide, tmp_path / "copy")
    os.replace(tmp_path / "copy", slide)
    os.utime(slide, (1, 1))
    assert version(slide) == before


def test_a_copy_after_a_failed_job_has_a_new_lasting_version(version, slide, tmp_path):
    before = version(slide)
    assert version(slide, failed=True) == before  # the file that failed
    shutil.copy2(slide, tmp_path / "copy")  # with its date
    os.replace(tmp_path / "copy", slide)
    again = version(slide, failed=True)
    assert again != before
    assert version(slide) == version(slide, failed=True) == again


def test_large_masks_are_compared_in_full_and_large_slides_by_samples(version, tmp_path):
    large = tmp_path / "large"
    large.write_bytes(bytes(1 << 20))
    as_slide, as_mask = version(large, name="slide"), version(whole=[large], name="mask")
    edit(large, 50_000)  # between two blocks
    assert version(large, name="slide") == as_slide
    assert version(whole=[large], name="mask") != as_mask


def test_the_cached_version_is_used_while_sizes_and_dates_stay(version, slide, tmp_path):
    memory = tmp_path / "memory/contents.tsv"
    before = version(slide)
    memory.write_text(memory.read_text().replace(before, "remembered"))
    assert version(slide) == "remembered"


def test_an_unreadable_file_is_compared_by_its_size_and_dates(version, tmp_path):
    folder = tmp_path / "a-folder-is-not-read"
    folder.mkdir()
    before = version(folder)
    assert version(folder) == before
    os.utime(folder, (1, 1))
    assert version(folder) != before


@pytest.fixture
def forbid():
    """Take away the permission to read a file; skip the test for root, who may read everything."""

    def close(path):
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("this user may read everything")

    return close


def test_a_file_that_can_no_longer_be_read_keeps_its_version(version, slide, forbid):
    before = version(slide)
    forbid(slide)
    assert version(slide) == version(slide, failed=True) == before
    slide.chmod(0o600)
    assert version(slide) == before
    edit(slide, 0)
    assert version(slide) != before


def test_a_file_that_could_not_be_read_is_tried_again_although_its_dates_stay(version, slide, tmp_path):
    before = version(slide)
    memory = tmp_path / "memory/contents.tsv"
    name, state, *_ = memory.read_text().split("\t")
    memory.write_text("\t".join([name, state, state, state]) + "\n")  # written when the file could not be read
    assert version(slide) == before


def test_added_removed_or_renamed_files_change_the_version(version, slide, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"other")
    assert len({version(slide), version(slide, other), version(other, slide), version(other)}) == 4


def test_a_line_of_the_cache_that_was_cut_short_is_ignored(version, slide, tmp_path):
    before = version(slide)
    memory = tmp_path / "memory/contents.tsv"
    memory.write_text(memory.read_text() + "unit\tabc")
    assert version(slide) == before


def test_the_cache_file_does_not_grow_without_limit(version, slide, tmp_path):
    for second in range(20):
        os.utime(slide, (second, second))
        version(slide)
    assert len((tmp_path / "memory/contents.tsv").read_text().splitlines()) <= 4


def test_versions_are_computed_again_when_the_cache_cannot_be_written(slide, tmp_path):
    (tmp_path / "file").touch()
    versions = {Contents(tmp_path / "file/contents.tsv").version("unit", (str(slide),)) for _ in range(2)}
    assert len(versions) == 1
