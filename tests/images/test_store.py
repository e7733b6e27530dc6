import numpy as np
import pytest
import torch

from gensis.errors import UserError
from gensis.images.codec import decode, encode_jpeg, encode_png
from gensis.images.embeddings import read_embeddings, write_embeddings
from gensis.images.index import read_index, write_index
from gensis.images.reading import HeldImages, StreamedImages, channel_statistics, open_images, read_units
from gensis.images.store import Store, write_store

CPU = torch.device("cpu")


def picture(seed, size=8):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Three units of 3, 0 and 4 images; image i is picture(i)."""
    units, first = [], 0
    for name, count in (("a", 3), ("b", 0), ("c", 4)):
        images = (encode_png(picture(first + number)) for number in range(count))
        _, content = write_store(tmp_path / f"{name}.h5", images, {"unit": name})
        units.append((name, count, content))
        first += count
    write_index(tmp_path / "train.tsv", units)
    return tmp_path


def test_a_store_returns_the_images_that_were_written(folder):
    with Store(folder / "c.h5") as store:
        assert len(store) == 4
        assert store.file["encoded"].chunks is None  # contiguous
        for number, encoded in enumerate(store.read(1, 4)):
            np.testing.assert_array_equal(decode(encoded), picture(3 + 1 + number))


def test_the_content_id_changes_with_any_image_and_with_any_column(tmp_path):
    def content(images, column):
        return write_store(tmp_path / "x.h5", images, {}, columns=lambda: {"key": np.array(column, object)})[1]

    first = content([b"ab", b"c"], ["x", "y"])
    assert content([b"ab", b"c"], ["x", "y"]) == first
    assert len({first, content([b"a", b"bc"], ["x", "y"]), content([b"ab", b"d"], ["x", "y"])}) == 3
    assert content([b"ab", b"c"], ["x", "z"]) != first


def test_an_interrupted_write_leaves_no_store(tmp_path):
    def broken():
        yield b"one"
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError):
        write_store(tmp_path / "x.h5", broken(), {})
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_a_store_is_a_one_line_error(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"nothing")
    with pytest.raises(UserError, match="is not an HDF5 file"):
        Store(tmp_path / "x.h5")


def test_the_index_leaves_out_empty_units_and_finds_rows(folder):
    index = read_index(folder / "train.tsv")
    assert (index.units, len(index)) == (("a", "c"), 7)
    unit, position = index.locate(np.array([0, 2, 3, 6]))
    assert unit.tolist() == [0, 0, 1, 1]
    assert position.tolist() == [0, 2, 0, 3]


@pytest.mark.parametrize("image_cache_gb", [1.0, 1e-9], ids=["held", "streamed"])
def test_batches_are_the_images_of_their_rows(folder, image_cache_gb):
    images = open_images(read_index(folder / "train.tsv"), CPU, image_cache_gb, 2)
    assert isinstance(images, HeldImages if image_cache_gb == 1.0 else StreamedImages)
    rows = torch.tensor([6, 0, 3, 3])
    expected = np.stack([picture(int(row)).transpose(2, 0, 1) for row in rows])
    np.testing.assert_array_equal(images.batch(rows).numpy(), expected)


def test_a_store_that_changed_after_it_was_indexed_is_refused(folder):
    write_store(folder / "a.h5", [encode_png(picture(9))] * 3, {})
    with pytest.raises(UserError, match="not the store that its index lists"):
        open_images(read_index(folder / "train.tsv"), CPU, 1.0, 1)


def test_images_of_two_sizes_are_an_error_that_suggests_image_px(tmp_path):
    images = [encode_png(picture(0)), encode_png(picture(1, size=9))]
    count, content = write_store(tmp_path / "a.h5", images, {})
    write_index(tmp_path / "train.tsv", [("a", count, content)])
    with pytest.raises(UserError, match=r"8x8 and of 9x9 px.*image_px"):
        open_images(read_index(tmp_path / "train.tsv"), CPU, 1.0, 1)


def test_units_are_read_in_order_and_in_blocks(folder):
    blocks = list(read_units([folder / "a.h5", folder / "b.h5", folder / "c.h5"], 2, CPU, 2))
    assert [len(block) for block in blocks] == [2, 2, 2, 1]
    np.testing.assert_array_equal(torch.cat(blocks)[5], picture(5).transpose(2, 0, 1))
    assert list(read_units([folder / "b.h5"], 2, CPU, 2)) == []


def test_channel_statistics_are_those_of_the_pixels(folder):
    images = open_images(read_index(folder / "train.tsv"), CPU, 1.0, 1)
    pixels = np.stack([picture(number) for number in range(7)]) / 255
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, pixels.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(std, pixels.std((0, 1, 2)), atol=1e-5)


def test_transparent_images_are_composited_on_white_and_grey_becomes_rgb():
    import io

    from PIL import Image

    def encoded(image):
        stream = io.BytesIO()
        image.save(stream, "PNG")
        return stream.getvalue()

    clear = Image.new("RGBA", (2, 2), (10, 20, 30, 0))
    np.testing.assert_array_equal(decode(encoded(clear)), np.full((2, 2, 3), 255, np.uint8))
    np.testing.assert_array_equal(decode(encoded(Image.new("L", (2, 2), 7))), np.full((2, 2, 3), 7, np.uint8))
    with pytest.raises(ValueError, match="not an image"):
        decode(b"text")


def test_jpeg_keeps_a_smooth_image_within_a_few_grey_levels():
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    image = np.stack([np.tile(ramp, (64, 1))] * 3, 2)
    assert np.abs(decode(encode_jpeg(image, 90)).astype(int) - image).max() <= 8


def test_parts_of_embeddings_are_concatenated(tmp_path):
    def part(path, units, counts, offset):
        unit = np.repeat(np.arange(len(units)), counts)
        features = np.arange(len(unit) * 2, dtype=np.float32).reshape(-1, 2) + offset
        keys = np.array([f"k{n + offset}" for n in range(len(unit))])
        write_embeddings(path, [features[:0], features[:1], features[1:]], unit=unit, units=units, keys=keys)

    part(tmp_path / "0.h5", ("a", "b"), (2, 0), 0)
    part(tmp_path / "1.h5", ("c",), (3,), 100)
    whole = read_embeddings([tmp_path / "0.h5", tmp_path / "1.h5"])
    assert whole.units == ("a", "b", "c")
    assert whole.unit.tolist() == [0, 0, 2, 2, 2]
    assert whole.position.tolist() == [0, 1, 0, 1, 2]
    assert whole.features[2, 0] == 100
    assert whole.keys.tolist() == ["k0", "k1", "k100", "k101", "k102"]


def test_too_few_embeddings_raise_and_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match="2 embeddings of 3 images"):
        write_embeddings(
            tmp_path / "0.h5", [np.zeros((2, 4))], unit=np.zeros(3, int), units=("a",), keys=np.zeros((3, 2))
        )
    assert not list(tmp_path.iterdir())
