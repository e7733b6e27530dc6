"""View distance of banks of drawn images, for which the answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.diffusion.tiny import CPU, HELD, smooth_images

from gensis.augment.views import ViewRecipe
from gensis.evaluation.bank_quality import Subject
from gensis.evaluation.bank_sample import draw_sample
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.judged_views import Judge
from gensis.evaluation.reference_images import draw_references
from gensis.evaluation.view_distance import view_distance
from gensis.images.codec import encode_png
from gensis.images.index import read_index, write_index
from gensis.images.store import write_store
from gensis.ssl.bank_images import SyntheticImages

COUNT, PX = 160, 16
PLAIN = dict.fromkeys(("flip", "jitter", "brightness", "contrast", "saturation", "hue", "grayscale", "blur"), 0.0)
CROPS = ViewRecipe(size_px=PX, scale=(0.3, 1), rotate=False, solarize=0.0, **PLAIN)
COLOURS = np.random.default_rng(0).permutation(256**3)[:COUNT]
FLAT = np.stack([COLOURS % 256, COLOURS // 256 % 256, COLOURS // 256**2], axis=1)[:, None, None].astype(np.uint8)
FLAT = FLAT.repeat(PX, axis=1).repeat(PX, axis=2)
"""Images of one colour each, which no crop changes."""


def mean_colour(images: torch.Tensor) -> torch.Tensor:
    return images.float().mean((2, 3)) / 255 - 0.5


def distinct(images: torch.Tensor) -> torch.Tensor:
    """Nearly orthogonal embeddings of different colours."""
    frequencies = torch.randn(3, 512, generator=torch.Generator().manual_seed(0))
    return (20 * images.float().mean((2, 3)) @ frequencies).cos()


def rows_of(bank, images):
    """Row of the equal image for each of a bank; empty unless all are copies."""
    row = {image.tobytes(): number for number, image in enumerate(images)}
    rows = [row.get(image.tobytes(), -1) for image in bank]
    return torch.tensor(rows if min(rows) >= 0 else [], dtype=torch.long)


def opened(folder, images):
    folder.mkdir()
    written = write_store(folder / "unit.h5", [encode_png(image) for image in images], {})
    write_index(folder / "train.tsv", [("unit", *written)])
    return HELD(read_index(folder / "train.tsv"))


@pytest.fixture
def measure(tmp_path):
    """Measures a bank with one image for each source."""

    def found(images, bank, labels, *, judge=mean_colour, groups=None, resamples=200):
        images_of_bank = opened(tmp_path / "bank", bank)
        bank_rows = rows_of(bank, images)
        bank = SyntheticImages(
            images=images_of_bank,
            order=None,
            first=torch.arange(len(bank) + 1),
            partner=torch.empty(0),
            alpha=torch.empty(0),
            copied=bank_rows,
        )
        sample = draw_sample({"generative": bank}, len(images), len(images), seed=0)
        features = judge(torch.from_numpy(images[sample.known]).permute(0, 3, 1, 2)).numpy()
        groups = np.arange(len(images)) if groups is None else groups
        subject = Subject(
            banks={"generative": bank},
            sample=sample,
            images=opened(tmp_path / "real", images),
            held_out=None,
            features=features,
            spaces=None,
            reference=None,
            recipe=CROPS,
            generate=None,
            interpolate=None,
            classes=lambda: (labels[sample.known], groups[sample.known]),
            seed=0,
            resamples=resamples,
            device=CPU,
        )
        values = view_distance(subject, Judge(judge, features))
        points = {point["kind"]: SimpleNamespace(**point) for point in values["points"]}
        return SimpleNamespace(**values | {"points": points, "sources": sample.sources})

    return found


@pytest.mark.parametrize(("shift", "expected"), [(0, 0), (1, 1)], ids=["sources", "others"])
def test_a_bank_of_sources_is_at_distance_zero_and_one_of_random_others_at_one(measure, shift, expected):
    images = smooth_images(COUNT, PX)
    found = measure(images, np.roll(images, shift, axis=0), np.full(COUNT, -1)).points["bank"]
    assert abs(found.relative_distance - expected) < 3 * found.relative_distance_error < 0.5
    assert found.n == COUNT // 2
    assert found.class_consistency is None


def test_ordinary_views_and_other_images_are_the_ends_of_the_scale(measure):
    images = smooth_images(COUNT, PX)
    points = measure(images, images, np.arange(COUNT) % 2).points
    assert list(points) == ["views", "bank", "neighbours", "same_class", "others"]
    assert (points["views"].relative_distance, points["others"].relative_distance) == (0, 1)
    assert 0 < points["neighbours"].relative_distance < 0.5 < points["same_class"].relative_distance


def test_the_distance_is_one_minus_the_mean_cosine_with_the_image_of_the_bank(measure):
    bank = np.roll(FLAT, 7, axis=0)
    found = measure(FLAT, bank, np.full(COUNT, -1))
    colours = FLAT[:, 0, 0] / 255 - 0.5
    unit = colours / np.sqrt((colours**2).sum(axis=1))[:, None]
    expected = np.mean([1 - unit[row] @ unit[(row - 7) % COUNT] for row in found.sources])
    relative = found.points["bank"].relative_distance
    assert found.view == pytest.approx(0, abs=1e-6)
    assert relative * found.other == pytest.approx(expected, rel=1e-5)
    every_pair = 1 - unit @ unit.T
    assert found.other == pytest.approx(every_pair[~np.eye(COUNT, dtype=bool)].mean(), abs=0.2)


def test_neither_a_source_nor_a_real_image_of_the_bank_votes(measure):
    """Each bank image is another image of the class, and classes are random: only the image itself would vote right."""
    labels = np.random.default_rng(1).integers(2, size=COUNT)
    bank = FLAT.copy()
    for label in (0, 1):
        rows = np.flatnonzero(labels == label)
        bank[rows] = FLAT[np.roll(rows, 1)]
    points = measure(FLAT, bank, labels, judge=distinct).points
    for kind in ("views", "bank", "same_class"):
        assert 0.2 < points[kind].class_consistency < 0.8
        assert 0.02 < points[kind].class_consistency_error < 0.1


def test_a_bank_that_keeps_the_class_is_consistent_at_a_distance(measure):
    """Two classes on either side of the grey axis; the bank shows another image of the class."""
    labels = np.arange(COUNT) % 2
    images = FLAT // 4 + np.array([[150, 20, 20], [20, 20, 150]], np.uint8)[labels][:, None, None]
    found = measure(images, np.roll(images, 2, axis=0), labels)
    assert {point.class_consistency for name, point in found.points.items() if name != "others"} == {1}
    assert found.points["others"].class_consistency < 0.8
    assert found.chance == np.bincount(labels[found.sources]).max() / len(found.sources)
    assert 0 < found.points["bank"].relative_distance < 0.5


def test_the_error_covers_groups_not_images(measure):
    """Images of a group share their bank image, so that only as many distances are independent as there are groups."""
    groups = np.arange(COUNT) // 16
    images = FLAT[groups]
    bank = np.roll(images, 16, axis=0)
    found = measure(images, bank, np.full(COUNT, -1), groups=groups)
    colours = images[:, 0, 0] / 255 - 0.5
    unit = colours / np.linalg.norm(colours, axis=1, keepdims=True)
    apart = np.array([1 - unit[row] @ unit[row - 16] for row in found.sources])
    of_groups = [apart[groups[found.sources] == group].mean() for group in range(10)]
    of_mean = np.std(of_groups, ddof=1) / 10**0.5 / found.other
    assert found.points["bank"].relative_distance_error == pytest.approx(of_mean, rel=0.7)
    assert found.points["bank"].relative_distance_error > 2 * apart.std() / len(apart) ** 0.5 / found.other


def test_a_judge_that_tells_no_images_apart_is_refused(measure):
    with pytest.raises(Unmeasurable, match="views of different images are as near"):
        measure(FLAT, FLAT, np.full(COUNT, -1), judge=lambda images: torch.ones(len(images), 4))


def test_reference_images_are_never_the_source():
    features = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    labels = np.repeat([-1, 0, 1, 2], [9, 20, 20, 1])
    sources = np.arange(50)
    drawn = draw_references(features, labels, sources, seed=0, device=CPU)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    nearest = np.argsort(-(unit @ unit.T), axis=1)[:, 1:5]
    assert all(place in nearest[row] for row, place in enumerate(drawn["neighbours"]))
    assert all((places != sources).all() for places in drawn.values())
    has_other = np.arange(50) % 50 < 49
    has_other[:9] = False
    assert ((drawn["same_class"] >= 0) == has_other).all()
    assert (labels[drawn["same_class"]][has_other] == labels[has_other]).all()
