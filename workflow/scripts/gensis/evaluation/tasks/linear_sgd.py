"""DINO's linear evaluation protocol, on cached features (facebookresearch/dino, eval_linear.py; arXiv 2104.14294).

As in the original: one linear layer, initialised from N(0, 0.01), on features without standardisation; SGD with
momentum 0.9, no weight decay, batches of 256 images, a learning rate of 0.001 with cosine decay per epoch; 100 epochs,
of which the last one is evaluated. Training images are flipped at random as in the original, but not cropped, since
features are computed once. With fewer than about 100,000 images, the number of steps is low for this learning rate.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gensis.evaluation.data import TaskData
from gensis.evaluation.folds import Unmeasurable
from gensis.evaluation.measured import Measured, Probabilities, classified
from gensis.evaluation.protocol import pooled
from gensis.training.device import copied

EPOCHS = 100
_BATCH = 256
_LEARNING_RATE = 0.001
_MOMENTUM = 0.9


def measure(data: TaskData) -> Measured:
    """Metrics of the linear layer on the last blocks' class tokens."""
    items = data.items
    plain, mirrored = data.last_blocks(items.item)

    def predict(train: np.ndarray, test: np.ndarray) -> Probabilities:
        on = {"seed": data.seed, "device": data.device}
        layer = fit_linear_sgd((plain, mirrored), items.labels, len(items.classes), train=train, **on)
        return {"": probabilities_of(layer, plain[test])}

    return classified(data, pooled(data.protocol, predict))


def fit_linear_sgd(
    views: tuple[np.ndarray, np.ndarray],
    labels: np.ndarray,
    classes: int,
    *,
    train: np.ndarray,
    seed: int,
    device: torch.device,
) -> nn.Linear:
    """Train a linear layer for EPOCHS epochs.

    Args:
        views: float32 (N, D) features of all images, and of their mirror images. They are not copied: of four blocks
            they are eight times as large as the embeddings.
        labels: int (N,).
        classes: number of classes K.
        train: int64 (n,): rows of the training images.
        seed: seed of initial weights, order and flips.
        device: device to train on.

    Raises:
        Unmeasurable: there is only one class.
    """
    if len(np.unique(labels[train])) < 2:
        raise Unmeasurable("a training part has only one class")
    draws = torch.Generator().manual_seed(seed)
    (plain, flipped), targets = (torch.from_numpy(each) for each in views), torch.from_numpy(labels)
    layer = nn.Linear(plain.shape[1], classes)
    nn.init.normal_(layer.weight, 0, 0.01, generator=draws)
    nn.init.zeros_(layer.bias)
    layer.to(device)
    optimizer = torch.optim.SGD(layer.parameters(), momentum=_MOMENTUM, fused=True)
    for epoch in range(EPOCHS):
        for group in optimizer.param_groups:
            group["lr"] = _LEARNING_RATE * (1 + math.cos(math.pi * epoch / EPOCHS)) / 2
        for drawn in torch.randperm(len(train), generator=draws).split(_BATCH):
            mirrored, rows = torch.randint(2, (len(drawn),), generator=draws), torch.from_numpy(train)[drawn]
            optimizer.zero_grad()
            inputs = torch.where(mirrored[:, None] > 0, flipped[rows], plain[rows])
            cross_entropy(layer(copied(inputs, device)), copied(targets[rows], device)).backward()
            optimizer.step()
    return layer


@torch.no_grad()
def probabilities_of(layer: nn.Linear, features: np.ndarray) -> np.ndarray:
    """Class probabilities, float64 (N, K), of float32 (N, D) features of images without flips."""
    return layer(torch.from_numpy(features).to(layer.weight.device)).double().softmax(1).cpu().numpy()
