"""k-NN accuracy during training, among the monitored training images."""

import argparse
import logging
from pathlib import Path

from gensis import command
from gensis.artifacts.tables import read_table, write_table
from gensis.evaluation.knn_history import knn_history, labels_and_groups, usable
from gensis.evaluation.labelled import read_labels_of
from gensis.images.index import read_index
from gensis.images.snapshots import read_snapshots
from gensis.settings.evaluation import Evaluation
from gensis.training.device import choose_device

log = logging.getLogger("track_knn")


def main(arguments: argparse.Namespace) -> None:
    """Write one line per snapshot and k; no lines if the monitored images cannot be classified by k-NN."""
    choose_device(0, arguments.threads)
    settings = Evaluation.model_validate(arguments.config)
    snapshots, index = read_snapshots(arguments.snapshots), read_index(arguments.train)
    unit, position = index.locate(snapshots.rows)
    images = [(index.units[number], str(at)) for number, at in zip(unit, position)]
    lines = read_labels_of(arguments.labels, frozenset(images))
    labels, groups = labels_and_groups(images, read_table(arguments.units), lines, arguments.slides_are_units)
    known = labels >= 0
    ks = usable(settings.knn, labels[known], groups[known])
    log.info("%d of %d monitored images have a label; values of k: %s", known.sum(), len(known), ks or "none usable")
    tracked = knn_history(
        snapshots.features[:, known], labels[known], groups=groups[known], ks=ks, temperature=settings.knn_temperature
    )
    lines = [
        (step, k, f"{accuracy:.6g}", known.sum())
        for step, accuracies in zip(snapshots.steps, tracked)
        for k, accuracy in accuracies.items()
    ]
    write_table(arguments.output, ("step", "k", "accuracy", "n"), lines, delimiter=",")


if __name__ == "__main__":
    parser = command.parser(__doc__)
    parser.add_argument("--snapshots", type=Path, required=True, help="embedding_snapshots.h5 of the encoder")
    parser.add_argument("--train", type=Path, required=True, help="train.tsv of the data set")
    parser.add_argument("--units", type=Path, required=True, help="units.tsv of the data set")
    parser.add_argument("--labels", type=Path, required=True, help="labels.tsv of the data set")
    parser.add_argument("--slides-are-units", action="store_true", help="the units are slides")
    parser.add_argument("--output", type=Path, required=True, help="CSV file of the accuracies")
    command.run(main, parser.parse_args())
