"""Embedding of images, and the evaluation that computes on the GPU, on `cuda`."""

from collections import Counter

import numpy as np
import pytest
import torch
from tests.on_device.fake_card import CUDA
from tests.ssl.conftest import TINY

from embed_images import Pixels, embedded
from gensis.evaluation.knn import knn_probabilities
from gensis.evaluation.mil import predict_bags
from gensis.evaluation.objectives import classification, regression, survival_risk
from gensis.evaluation.outcomes import Survival
from gensis.evaluation.tasks.abmil import GatedAttention
from gensis.evaluation.tasks.dsmil import DualStream
from gensis.evaluation.tasks.linear_sgd import fit_linear_sgd, probabilities_of
from gensis.settings.embedding import Embedding
from gensis.settings.evaluation import Evaluation
from gensis.ssl.backbone import Encoder, LastBlocks, create_backbone
from gensis.ssl.preprocessing import Preprocessing

WIDTH, CLASSES = 6, 3


def features(count):
    return np.random.default_rng(count).normal(size=(count, WIDTH)).astype(np.float32)


def encoder(last_blocks=False):
    backbone, _ = create_backbone("vit_tiny_patch16_224", 16, TINY["backbone_args"])
    result = Encoder(backbone, Preprocessing((16, 16), (0.5,) * 3, (0.25,) * 3))
    return LastBlocks(result, 4) if last_blocks else result


@pytest.mark.parametrize(
    "make", [encoder, lambda: encoder(last_blocks=True), Pixels], ids=["encoder", "last", "pixels"]
)
def test_embedding_fetches_each_block_once(card, make):
    network = make().to(CUDA, memory_format=torch.channels_last).eval()
    blocks = [torch.zeros(5, 3, 24, 24, dtype=torch.uint8, device=CUDA) for _ in range(2)]
    settings = Embedding(precision="bfloat16", normalize=True)
    card.waits()
    assert [len(block) for block in embedded(network, blocks, settings, device=CUDA, total=10)] == [0, 5, 5]
    assert card.waits() == {"ssl.embedding.embed: copy to cpu": 3}


def test_neighbours_fetch_the_votes_of_each_k_once(card):
    train, test, labels = features(40), features(10), np.arange(40) % CLASSES
    groups = np.arange(40) // 4, np.arange(10)
    given = {"classes": CLASSES, "temperature": 0.07, "chunk_bytes": 4 * 40 * 5, "groups": groups}
    shares = knn_probabilities(train, labels, test, ks=(2, 5), device=CUDA, **given)
    assert [share.shape for share in shares.values()] == [(10, CLASSES)] * 2
    assert card.waits() == {
        "evaluation.knn.knn_probabilities: copy to cuda": 1,
        "evaluation.neighbours.by_chunks: copy to cuda": 1,
        "evaluation.knn.knn_probabilities: copy to cpu": 2,
    }


def test_the_linear_layer_is_trained_without_waits(card):
    train, labels = features(20), np.arange(20) % CLASSES
    layer = fit_linear_sgd((train, train), labels, CLASSES, train=np.arange(20), seed=0, device=CUDA)
    of_weight_and_bias = {"evaluation.tasks.linear_sgd.fit_linear_sgd: copy to cuda": 2}
    assert card.waits() == of_weight_and_bias
    assert probabilities_of(layer, features(5)).shape == (5, CLASSES)


OBJECTIVES = {
    "classification": classification(np.arange(12) % 2, 2),
    "survival": survival_risk(Survival(np.arange(12.0), np.arange(12) % 3 > 0)),
    "regression": regression(np.arange(12.0)),
}


@pytest.mark.parametrize(
    ("head", "objective"), [(DualStream, "classification"), *((GatedAttention, name) for name in OBJECTIVES)]
)
def test_heads_learn_with_one_wait_an_epoch(card, head, objective):
    bags = [features(3 + number % 2) for number in range(12)]
    waits = []
    for epochs in (1, 3):
        settings = Evaluation(mil_epochs=epochs, mil_seeds=1, mil_batch_size=4)
        given = {"objective": OBJECTIVES[objective], "groups": np.arange(12), "settings": settings, "seed": 0}
        predictions, attention = predict_bags(head, bags, bags[:5], device=CUDA, **given)
        waits.append(Counter(card.waits()))
    assert predictions.shape == (5, OBJECTIVES[objective].outputs)
    assert [len(each) for each in attention] == [len(bag) for bag in bags[:5]]
    assert waits[1] - waits[0] == {"evaluation.mil._fit: item": 2}
