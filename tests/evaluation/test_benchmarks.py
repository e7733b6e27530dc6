"""Benchmarks give the values of their original programs.

The expected values are the output of eval_copy_detection.py, eval_image_retrieval.py and eval_video_segmentation.py of
github.com/facebookresearch/dino (2021), and of davis2017-evaluation for J and F, on the same drawn files with the same
features, on a CPU. What was replaced in them: the network, GPUs, the sizes of Copydays' blocks, and the number of
digits that are printed.
"""

import itertools
import json
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluation.drawn_benchmarks import IMAGENET, draw_copydays, draw_davis, draw_landmarks, encoder
from tests.warm_python import SCRIPTS, warm_python

from gensis.errors import UserError
from gensis.evaluation.benchmark import BenchmarkData, Items
from gensis.evaluation.landmarks import read_landmarks
from gensis.evaluation.masks import contour_accuracy, region_similarity
from gensis.evaluation.propagation import NEAREST, RADIUS, TEMPERATURE, propagated
from gensis.evaluation.ranked import average_precision, by_chance
from gensis.evaluation.tasks import copy_detection, landmark_retrieval, video_segmentation
from gensis.settings.benchmarks import CopyDetection, LandmarkRetrieval, VideoSegmentation
from gensis.ssl.backbone import create_backbone, save_encoder
from gensis.ssl.preprocessing import Preprocessing

DAVIS_COLOURS = ((0.485, 0.456, 0.406), (0.228, 0.224, 0.225))  # as in the original


def measured(module, settings, colours=IMAGENET) -> Items:
    return module.measure(BenchmarkData(settings=settings, encode=encoder(*colours), device=torch.device("cpu")))


@pytest.mark.parametrize(("distractors", "expected"), [(False, 0.565021495), (True, 0.453786751)])
def test_copy_detection_agrees_with_the_original_program(tmp_path, distractors, expected):
    draw_copydays(tmp_path)
    more = {"distractors": f"{tmp_path}/distractors"} if distractors else {}
    settings = CopyDetection(task="copy-detection", path=f"{tmp_path}/copydays", image_px=96, **more)
    items = measured(copy_detection, settings)
    assert items.scores["average_precision"].mean() == pytest.approx(expected, abs=1e-4)
    assert len(items.names) == 48
    assert len(set(items.groups)) == 24


@pytest.mark.parametrize(
    ("multi_scale", "medium", "hard"), [(False, 25.310430137, 18.621270616), (True, 28.410450846, 30.487107442)]
)
def test_landmark_retrieval_agrees_with_the_original_program(tmp_path, multi_scale, medium, hard):
    draw_landmarks(tmp_path)
    folder = f"{tmp_path}/roxford5k"
    settings = LandmarkRetrieval(task="retrieval-landmarks", path=folder, image_px=100, multi_scale=multi_scale)
    items = measured(landmark_retrieval, settings)
    assert 100 * items.scores["average_precision_medium"].mean() == pytest.approx(medium, abs=0.01)
    assert 100 * np.nanmean(items.scores["average_precision_hard"]) == pytest.approx(hard, abs=0.01)
    assert np.isnan(items.scores["average_precision_hard"]).tolist() == [False, False, False, True, False]
    assert items.result(20)["items"]["average_precision_hard"][3] is None


def test_video_segmentation_agrees_with_the_original_program_but_for_the_resampling_of_frames(tmp_path):
    """OpenCV's resize rounds otherwise. With frames resized by it all digits of J and F are equal."""
    draw_davis(tmp_path)
    settings = VideoSegmentation(task="video-segmentation", path=f"{tmp_path}/DAVIS")
    items = measured(video_segmentation, settings, DAVIS_COLOURS)
    assert items.names == ("wide_1", "wide_2", "tall_1", "tall_2")
    assert items.scores["j"] == pytest.approx([0.373510790, 0.102990199, 0.707662610, 0.731881223], abs=0.004)
    assert items.scores["f"] == pytest.approx([0.392357013, 0.163928738, 0.612096608, 0.673116463], abs=0.004)
    # The same masks in all frames involve no resampling.
    assert items.expected["j"].mean() == pytest.approx(0.35746809098114474, abs=1e-9)
    assert items.expected["f"].mean() == pytest.approx(0.23142995209279520, abs=1e-9)


def test_precision_is_averaged_over_recall_by_trapezoids():
    is_relevant = np.array([0, 1, 1, 0, 0, 1, 0], bool)
    recall = [0, 0.25, 0.25, 0.5, 0.5, 0.75]
    precision = [0, 1 / 2, 1 / 2, 2 / 3, 2 / 5, 3 / 6]  # before and after each relevant item
    assert average_precision(is_relevant, 4) == pytest.approx(
        sum((precision[2 * i] + precision[2 * i + 1]) / 2 * (recall[2 * i + 1] - recall[2 * i]) for i in range(3))
    )
    assert average_precision(np.array([True]), 1) == 1
    assert np.isnan(average_precision(np.array([False]), 0))


@pytest.mark.parametrize(("relevant", "ranked"), [(1, 2), (2, 5), (3, 4), (5, 5)])
def test_chance_is_the_mean_over_all_orders(relevant, ranked):
    orders = itertools.permutations([True] * relevant + [False] * (5 - relevant))
    mean = np.mean([average_precision(np.array(order[:ranked]), relevant) for order in orders])
    assert by_chance(relevant, 5, ranked) == pytest.approx(mean)


def test_ground_truth_that_is_code_is_not_run(tmp_path):
    class Code:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "run",))

    (tmp_path / "gnd.pkl").write_bytes(pickle.dumps(Code()))
    with pytest.raises(UserError, match=r"gnd\.pkl is no ground truth of revisited Oxford or Paris.*it names pathlib"):
        read_landmarks(tmp_path / "gnd.pkl")
    assert not (tmp_path / "run").exists()


def test_labels_come_from_the_most_similar_places_nearby():
    """A reference with loops; the grid is wider than the neighbourhood, and the video longer than the context."""
    generator = torch.Generator().manual_seed(0)
    height, width, frames = 2, RADIUS + 4, 11
    features = torch.nn.functional.normalize(torch.randn(frames, height, width, 3, generator=generator), dim=3)
    labels = [torch.rand(2, height, width, generator=generator)]
    found = list(propagated(5 * features[0], labels[0], iter(3 * features[1:])))
    for frame in range(1, frames):
        expected = torch.zeros(2, height, width)
        context = [0, *range(max(1, frame - 7), frame)]
        for row, column in itertools.product(range(height), range(width)):
            near = [
                (float(features[other, y, x] @ features[frame, row, column]), labels[other][:, y, x])
                for other, y, x in itertools.product(context, range(height), range(width))
                if abs(x - column) <= RADIUS
            ]
            near = sorted(near, key=lambda each: each[0], reverse=True)[:NEAREST]
            weights = torch.tensor([cosine / TEMPERATURE for cosine, _ in near]).softmax(0)
            expected[:, row, column] = sum(weight * label for weight, (_, label) in zip(weights, near))
        torch.testing.assert_close(found[frame - 1], expected, atol=1e-5, rtol=1e-4)
        labels.append(found[frame - 1])


def test_contours_match_within_a_tolerance_of_the_diagonal():
    """250 x 1000 px: the tolerance is ceil(8.25) = 9 px. A contour lies on the pixels before the object's edge."""
    true = np.zeros((250, 1000), bool)
    true[100:150, 300:600] = True
    for shift, expected in ((9, 1.0), (10, None)):
        found = np.roll(true, shift, axis=1)
        assert (contour_accuracy(found, true) == 1) is (expected == 1)
    assert region_similarity(np.roll(true, 100, axis=1), true) == pytest.approx(200 / 400)
    empty = np.zeros_like(true)
    assert [contour_accuracy(*pair) for pair in ((empty, empty), (empty, true), (true, empty))] == [1, 0, 0]
    assert [region_similarity(*pair) for pair in ((empty, empty), (empty, true))] == [1, 0]


def test_a_benchmark_is_measured_with_a_trained_encoder_end_to_end(tmp_path):
    draw_copydays(tmp_path)
    name, arguments = "vit_tiny_patch16_224", {"embed_dim": 24, "depth": 1, "num_heads": 2}
    backbone, made_with = create_backbone(name, 32, arguments)
    preprocessing = Preprocessing((32, 32), *IMAGENET)
    save_encoder(backbone, tmp_path / "encoder", name=name, arguments=made_with, preprocessing=preprocessing)
    settings = {"task": "copy-detection", "path": f"{tmp_path}/copydays", "image_px": 48, "bootstrap": 20}
    command = [
        warm_python(), SCRIPTS / "evaluate_benchmark.py", "--config", json.dumps(settings), "--seed", 3, "--threads", 1,
        "--encoder", tmp_path / "encoder", "--name", "dino", "--benchmark", "copydays",
        "--output", tmp_path / "copy-detection.json",
    ]  # fmt: skip
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "copy-detection.json").read_text())
    subject = [result[key] for key in ("encoder", "dataset", "seed", "task")]
    assert subject == ["dino", "copydays", 3, "copy-detection"]
    (metric,) = result["metrics"]
    assert metric["low"] <= metric["value"] == pytest.approx(np.mean(result["items"]["average_precision"]))
    assert result["provenance"]["settings"] == settings
    assert result["provenance"]["inputs"].keys() == {"benchmark", "encoder"}
