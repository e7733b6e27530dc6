import numpy as np
import pytest
import torch
from tests.evaluation.test_tasks import slides
from torch import nn

from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.measure import measure
from gensis.evaluation.tasks.linear_sgd import fit_linear_sgd, probabilities_of
from gensis.settings.evaluation import Evaluation

CPU = torch.device("cpu")
SETTINGS = Evaluation(linear_sgd=True, bootstrap=20)


def images(count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 3
    return (generator.normal(size=(count, 6)) + 3 * np.eye(3, 6)[labels]).astype(np.float32), labels


def test_training_equals_the_original_optimizer_and_schedule():
    """All images in one batch and equal to their mirror images, so that only the initial weights are random."""
    features, labels = images(200)
    layer = fit_linear_sgd((features, features), labels, 3, train=np.arange(200), seed=7, device=CPU)
    reference = nn.Linear(6, 3)
    with torch.no_grad():
        reference.weight.normal_(0, 0.01, generator=torch.Generator().manual_seed(7))
        reference.bias.zero_()
    optimizer = torch.optim.SGD(reference.parameters(), 0.001 * 256 / 256, momentum=0.9, weight_decay=0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100, eta_min=0)
    for _ in range(100):
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(reference(torch.from_numpy(features)), torch.from_numpy(labels)).backward()
        optimizer.step()
        scheduler.step()
    torch.testing.assert_close(layer.weight, reference.weight, atol=1e-5, rtol=1e-4)
    expected = torch.softmax(reference(torch.from_numpy(features)), 1).detach().numpy()
    np.testing.assert_allclose(probabilities_of(layer, features), expected, atol=1e-5)


def test_training_uses_images_and_their_mirror_images():
    features, labels = images(600)
    for views in ((features, np.zeros_like(features)), (np.zeros_like(features), features)):
        layer = fit_linear_sgd(views, labels, 3, train=np.arange(600), seed=0, device=CPU)
        assert (probabilities_of(layer, features).argmax(1) == labels).mean() > 0.9


def test_one_class_alone_is_unmeasurable():
    features, labels = images(10)
    with pytest.raises(Unmeasurable):
        fit_linear_sgd((features, features), labels * 0, 3, train=np.arange(10), seed=0, device=CPU)


@pytest.mark.parametrize("split", [True, False])
def test_the_task_uses_the_last_blocks_of_labelled_images(split):
    data = slides(0, split)  # the encoder's own features are not informative
    data = type(data)(**{**vars(data), "item": data.item + 5})  # five images without a label come first
    telling = np.concatenate([np.zeros((5, 8)), 30 * np.eye(3, 8)[data.labels]]).astype(np.float32)
    measured = measure(
        "linear-sgd", data, SETTINGS, seed=0, device=CPU, last_blocks=lambda rows: (telling[rows], telling[rows])
    )
    assert [metric["metric"] for metric in measured.result["metrics"]][:2] == ["accuracy", "balanced_accuracy"]
    assert measured.result["metrics"][0]["value"] == 1
    assert measured.result["n"] == (120 if split else 360)


def test_it_is_opt_in_and_changes_no_settings_json_if_off():
    assert "linear-sgd" in SETTINGS.image_tasks
    assert "linear-sgd" not in Evaluation().image_tasks
    assert "linear_sgd" not in Evaluation().model_dump()
