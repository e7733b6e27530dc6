import io
import os
import re
import threading
import tracemalloc
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import torch
from PIL import Image

from gensis.errors import UserError
from gensis.images.codec import decode, decode_into, encode_jpeg, encode_png
from gensis.images.encoded import EncodedImages, read_layout
from gensis.images.index import read_index, write_index
from gensis.images.reading import StreamedImages, channel_statistics, open_images, read_ahead
from gensis.images.store import Store, write_store

CPU = torch.device("cpu")
IMAGES = 12


def picture(seed, height=8, width=8):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Three stores of JPEGs and PNGs; image i is picture(i) of 6 x 8 px."""
    units = []
    for number, name in enumerate("abc"):
        seeds = range(4 * number, 4 * number + 4)
        images = [encode_jpeg(picture(i, 6), 90) if i % 2 else encode_png(picture(i, 6)) for i in seeds]
        units.append((name, *write_store(tmp_path / f"{name}.h5", images, {})))
    write_index(tmp_path / "train.tsv", units)
    return tmp_path


def streamed(folder, threads=2):
    return StreamedImages(read_index(folder / "train.tsv"), CPU, threads)


def expected(folder):
    """All images, read with HDF5 and decoded one by one: uint8 (12, 3, 6, 8)."""
    encoded = []
    for name in "abc":
        with Store(folder / f"{name}.h5") as store:
            encoded += store.read(0, len(store))
    return torch.from_numpy(np.stack([decode(image) for image in encoded])).permute(0, 3, 1, 2)


def test_prefetched_batches_equal_those_read_directly(folder):
    rows = [torch.tensor([11, 0, 5, 5]), torch.tensor([3]), torch.tensor([7, 8, 9])]
    with streamed(folder) as images:
        for ahead in rows[:2] + rows[:2]:
            images.prefetch(ahead)
        for asked in (rows[1], rows[2], rows[0], rows[0]):
            assert torch.equal(images.batch(asked), expected(folder)[asked])


def test_prefetched_batches_are_not_read_again(folder):
    intact = expected(folder)
    with streamed(folder, threads=1) as images:
        images.prefetch(torch.arange(8))
        images.batch(torch.tensor([11]))  # one thread: all earlier requests are done
        for name in "abc":
            os.truncate(folder / f"{name}.h5", 0)
        assert torch.equal(images.batch(torch.arange(8)), intact[:8])


def test_batches_dropped_from_the_prefetch_queue_are_read_again(folder):
    with streamed(folder, threads=1) as images:
        for row in range(IMAGES):
            images.prefetch(torch.tensor([row]))
        found = torch.cat([images.batch(torch.tensor([row])) for row in range(IMAGES)])
    assert torch.equal(found, expected(folder))


@pytest.mark.parametrize("image_cache_gb", [1.0, 1e-9], ids=["held", "streamed"])
def test_batches_are_channels_last_in_memory(folder, image_cache_gb):
    images = open_images(read_index(folder / "train.tsv"), CPU, image_cache_gb, 2)
    images.prefetch(torch.arange(5))
    batch = images.batch(torch.arange(5))
    assert images.shape == (3, 6, 8)
    assert batch.shape == (5, 3, 6, 8)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch, expected(folder)[:5])


def test_reading_ahead_yields_every_batch_in_order(folder):
    with streamed(folder) as images:
        assert list(read_ahead(images, [])) == []
        found = list(read_ahead(images, torch.arange(IMAGES).split(5)))
    assert [len(batch) for batch in found] == [5, 5, 2]
    assert torch.equal(torch.cat(found), expected(folder))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc/self/fd")
def test_closing_ends_the_threads_and_closes_the_files(folder):
    def is_open():
        files = [os.path.realpath(descriptor) for descriptor in Path("/proc/self/fd").iterdir()]
        return any(file.startswith(str(folder.resolve())) for file in files)

    threads = threading.active_count()
    with streamed(folder) as images:
        images.prefetch(torch.arange(IMAGES))
        images.batch(torch.arange(3))
        assert threading.active_count() == threads + 2
        assert is_open()
    assert threading.active_count() == threads
    assert not is_open()


def test_a_damaged_image_is_a_one_line_error_with_file_and_position(folder):
    images, intact = streamed(folder), expected(folder)[:4]
    with Store(folder / "b.h5") as store:
        first = read_layout(folder / "b.h5").encoded_at + int(store.offsets[2])
    with open(folder / "b.h5", "r+b") as file:
        file.seek(first)
        file.write(b"damaged!")
    images.prefetch(torch.arange(4))
    images.prefetch(torch.tensor([4, 6]))
    assert torch.equal(images.batch(torch.arange(4)), intact)
    with pytest.raises(UserError, match=r"b\.h5: its image 2 is damaged .*: delete this file and run again") as error:
        images.batch(torch.tensor([4, 6]))
    assert "\n" not in str(error.value)


def test_a_truncated_or_missing_store_is_named_in_the_error(folder):
    images = streamed(folder)
    with open(folder / "a.h5", "r+b") as file:
        file.truncate(read_layout(folder / "a.h5").encoded_at + 1)
    with pytest.raises(UserError, match=r"a\.h5: its image 3 is damaged \(the file ends"):
        images.batch(torch.tensor([3]))
    (folder / "c.h5").unlink()
    with pytest.raises(FileNotFoundError) as error:
        images.batch(torch.tensor([11]))
    assert str(error.value.filename) == str(folder / "c.h5")
    (folder / "c.h5").mkdir()  # can be opened, not read
    with pytest.raises(IsADirectoryError) as error:
        images.batch(torch.tensor([11]))
    assert str(error.value.filename) == str(folder / "c.h5")


@pytest.mark.parametrize("encode", [lambda image: encode_jpeg(image, 90), encode_png], ids=["jpeg", "png"])
def test_every_flipped_bit_of_an_image_is_detected(tmp_path, encode):
    write_store(tmp_path / "a.h5", [encode(picture(number)) for number in range(3)], {})
    layout = read_layout(tmp_path / "a.h5")
    whole = (tmp_path / "a.h5").read_bytes()
    with Store(tmp_path / "a.h5") as store:
        begin, end = (layout.encoded_at + int(at) for at in store.offsets[1:3])
    flips = np.random.default_rng(0).choice(8 * (end - begin), 40, replace=False)
    for byte, bit in zip(begin + flips // 8, flips % 8):
        damaged = bytearray(whole)
        damaged[byte] ^= 1 << bit
        (tmp_path / "a.h5").write_bytes(damaged)
        with pytest.raises(ValueError, match="its checksum does not match its bytes"):
            EncodedImages([layout]).read(0, 1)
        line = f"{tmp_path / 'a.h5'}: its image 1 is damaged (its checksum does not match its bytes): delete"
        with Store(tmp_path / "a.h5") as store, pytest.raises(UserError, match=re.escape(line)):
            store.read(0, 3)
        assert EncodedImages([layout]).read(0, 2) == encode(picture(2))


def test_every_flipped_bit_of_an_offset_or_checksum_is_detected(tmp_path):
    write_store(tmp_path / "a.h5", [encode_png(picture(number)) for number in range(3)], {})
    layout = read_layout(tmp_path / "a.h5")
    whole = (tmp_path / "a.h5").read_bytes()
    bits = [*range(8 * (layout.offsets_at + 8), 8 * (layout.offsets_at + 24), 5), 8 * (layout.checksums_at + 5)]
    for bit in bits:  # those of the second image
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "a.h5").write_bytes(damaged)
        with pytest.raises(ValueError, match="its checksum does not match its bytes"):
            EncodedImages([layout]).read(0, 1)
        with Store(tmp_path / "a.h5") as store, pytest.raises(UserError, match=r"a\.h5.* is damaged "):
            store.read(0, 3)


def test_stored_checksums_equal_those_of_zlib(folder):
    with Store(folder / "b.h5") as store:
        assert store.column("image_crc32").dtype == np.uint32
        assert store.column("image_crc32").tolist() == [zlib.crc32(image) for image in store.read(0, len(store))]


def test_plain_reads_equal_those_of_hdf5(folder):
    encoded = EncodedImages([read_layout(folder / f"{name}.h5") for name in "abc"])
    for number, name in enumerate("abc"):
        with Store(folder / f"{name}.h5") as store:
            assert [encoded.read(number, position) for position in range(4)] == store.read(0, 4)


def test_more_stores_than_open_files_are_allowed_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr("gensis.images.open_files._OPEN_FILES", 2)
    units = []
    for number in range(6):
        units.append((f"u{number}", *write_store(tmp_path / f"u{number}.h5", [encode_png(picture(number))] * 5, {})))
    write_index(tmp_path / "train.tsv", units)
    with streamed(tmp_path, threads=4) as images:
        rows = torch.randperm(30, generator=torch.Generator().manual_seed(0))
        expected = np.stack([picture(int(row) // 5).transpose(2, 0, 1) for row in rows])
        np.testing.assert_array_equal(images.batch(rows).numpy(), expected)


def jpeg_of(image, **options):
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    "encoded",
    [
        *(jpeg_of(Image.fromarray(picture(0, 21, 35)), quality=80, subsampling=kind) for kind in (0, 1, 2)),
        jpeg_of(Image.fromarray(picture(0, 21, 35)), progressive=True),
        jpeg_of(Image.fromarray(picture(0, 21, 35)).convert("L")),
        jpeg_of(Image.fromarray(picture(0, 21, 35)))[:-300],
        encode_png(picture(0, 21, 35)),
        imagecodecs.png_encode(np.ascontiguousarray(picture(0, 21, 35)[..., 0])),
        imagecodecs.png_encode(np.dstack([picture(0, 21, 35), picture(1, 21, 35)[..., :1]])),
        imagecodecs.png_encode(picture(0, 21, 35).astype(np.uint16) * 257),
    ],
    ids=["444", "422", "420", "progressive", "grey", "cut short", "png", "grey png", "transparent png", "16-bit png"],
)
def test_decoding_into_a_batch_gives_the_same_pixels(encoded):
    image = np.zeros((21, 35, 3), np.uint8)
    decode_into(encoded, image)
    np.testing.assert_array_equal(image, decode(encoded))


@pytest.mark.parametrize("size", [(20, 35), (21, 36), (35, 21), (40, 40)])
@pytest.mark.parametrize("encode", [lambda image: encode_jpeg(image, 90), encode_png], ids=["jpeg", "png"])
def test_an_image_of_another_size_than_its_target_is_refused(encode, size):
    with pytest.raises(UserError, match=f"{size[1]}x{size[0]} and of 35x21 px.*image_px"):
        decode_into(encode(picture(0, 21, 35)), np.zeros((*size, 3), np.uint8))


def test_statistics_of_100_million_images_use_valid_rows():
    class Wide:
        shape = (3, 1, 1)

        def __len__(self):
            return 100_000_000

        def prefetch(self, rows):
            pass

        def batch(self, rows):
            assert 0 <= rows.min() <= rows.max() < len(self)
            return torch.full((len(rows), 3, 1, 1), 51, dtype=torch.uint8)

    assert channel_statistics(Wide())[0] == (0.2, 0.2, 0.2)


def test_statistics_of_large_images_are_computed_few_at_a_time():
    class Large:
        shape, most = (3, 2048, 2048), 0

        def __len__(self):
            return 40

        def prefetch(self, rows):
            pass

        def batch(self, rows):
            self.most = max(self.most, len(rows))
            return torch.full((1, 3, 1, 1), 51, dtype=torch.uint8).expand(len(rows), *self.shape)

    images = Large()
    assert channel_statistics(images)[0] == (0.2, 0.2, 0.2)
    assert images.most * 3 * 2048**2 * 8 < 1e9  # as float64


def test_an_index_of_100_million_selected_rows_is_small_and_correct(tmp_path):
    """20,000 units of 5,000 selected images, each unit in 5 ranges."""
    line = ",".join(f"{start}-{start + 999}" for start in range(0, 5500, 1100))
    write_index(
        tmp_path / "train.tsv",
        [(f"u{i}", 5000, "0" * 16) for i in range(20_000)],
        dict.fromkeys([f"u{i}" for i in range(20_000)], line),
    )
    tracemalloc.start()
    index = read_index(tmp_path / "train.tsv")
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(index) == 100_000_000
    assert held < 20e6  # a position per image would take 800 MB
    unit, position = index.locate(np.array([0, 1000, 4999, 5000, 99_999_999]))
    assert unit.tolist() == [0, 0, 0, 1, 19_999]
    assert position.tolist() == [0, 1100, 5399, 0, 5399]


def test_selected_rows_may_be_a_long_text(tmp_path):
    text = ",".join(f"{start}-{start + 3}" for start in range(100_000, 235_000, 9))
    assert len(text) > 200_000
    write_index(tmp_path / "train.tsv", [("a", 60_000, "0" * 16)], {"a": text})
    assert read_index(tmp_path / "train.tsv").locate(np.array([5, 59_999]))[1].tolist() == [100_010, 234_994]
