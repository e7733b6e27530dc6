"""A read-only view of the results of a finished run. Results that the config does not name (any more) are ignored."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from gensis.artifacts.files import read_json
from gensis.artifacts.tables import read_table, table_rows
from gensis.errors import UserError
from gensis.figures.compared import Comparisons, read_compared
from gensis.figures.scores import Score, Scores
from gensis.images.embeddings import current_parts, part_count
from gensis.images.index import Index, read_index
from gensis.images.store import Store
from gensis.settings import Study, load_study
from gensis.settings.roles import UNTRAINED


@dataclass(frozen=True)
class Training:
    """One finished training."""

    stage: str
    """``encoder``, ``diffusion`` or ``autoencoder``."""
    name: str
    """Name of the trained encoder, or of the encoder that conditions; empty for the autoencoder."""
    seed: int
    _: KW_ONLY
    history: dict[str, list[float]]
    """Column -> a value for each row, NaN where there is none."""
    provenance: dict[str, Any]
    folder: Path
    knn_history: dict[str, list[float]]
    """Columns of knn_history.csv; only of an encoder whose data set has labels."""

    @property
    def steps(self) -> int:
        """Number of training steps."""
        return int(self.history["step"][-1]) if self.history.get("step") else 0


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How one task was measured."""

    encoder: str
    dataset: str
    task: str
    protocol: str
    transductive: bool
    skipped: str
    """Why it was not measured; empty if it was."""
    unlabelled_test: bool = False
    """Training images were tested, since no image of the test split has a label."""
    unlearnt_classes: tuple[str, ...] = ()
    """Classes of test items that no training item has."""
    n: int = 0
    """Number of test items."""
    n_groups: int = 0
    """Number of their groups."""
    n_ungrouped: int = 0
    """Number of test items without a group in the data set."""


@dataclass(frozen=True)
class Dataset:
    """The folder of a data set."""

    name: str
    kind: str
    folder: Path

    @cached_property
    def units(self) -> list[dict[str, str]]:
        """Rows of outcomes.tsv: unit, outcome, images, failed, reason."""
        path = self.folder / "outcomes.tsv"
        return read_table(path) if path.exists() else []

    @cached_property
    def train(self) -> Index | None:
        """The index of the train split."""
        path = self.folder / "train.tsv"
        return read_index(path) if path.exists() else None

    @property
    def images(self) -> int:
        """Number of images of all units."""
        return sum(int(unit["images"]) for unit in self.units)

    @property
    def outcomes(self) -> Counter[str]:
        """Outcome -> number of units."""
        return Counter(unit["outcome"] for unit in self.units)


@dataclass(frozen=True)
class Bank:
    """The folder of a bank."""

    name: str
    seed: int
    folder: Path
    kind: str = "generated"
    """`generated`, or what its real images are: `neighbours` or `sources`."""

    def shards(self, kind: str) -> list[Path]:
        """Stores of the `generative` or the `interpolated` images, in order."""
        return sorted(self.folder.glob(f"{kind}-*.h5"))

    def count(self, kind: str) -> int:
        """Number of images of a kind."""
        total = 0
        for path in self.shards(kind):
            with Store(path) as store:
                total += len(store)
        return total

    @cached_property
    def quality(self) -> dict[str, Any]:
        """Content of quality.json; empty if there is none."""
        path = self.folder / "quality.json"
        return read_json(path) if path.exists() else {}

    def provenance(self) -> list[dict[str, Any]]:
        """The provenance records of the shards, where they have one."""
        records = []
        for path in [*self.shards("generative"), *self.shards("interpolated")]:
            with Store(path) as store:
                records.append(json.loads(store.file.attrs.get("provenance", "{}")))
        return [record for record in records if record]


class Run:
    """All results below `results/<run>/`, and the data sets that the run used."""

    def __init__(self, folder: Path, images_folder: Path):
        """Open a run.

        Raises:
            UserError: it has no config.yaml or summary.csv, or these cannot be read.
        """
        self.folder, self.images_folder = Path(folder), Path(images_folder)
        self.config_text = _required(self.folder / "config.yaml")
        self.study: Study = load_study(yaml.safe_load(self.config_text))
        scores = _read_scores(self.folder / "summary.csv")
        arms = sorted(self.study.retraining, key=lambda name: name != self.study.main_arm)
        self.scores = Scores(scores, self.study.reference, arms)
        compared = self.folder / "comparisons.csv"
        self.comparisons = Comparisons(read_compared(compared) if compared.exists() else [])

    @cached_property
    def datasets(self) -> list[Dataset]:
        """Data sets that the run uses, if their folder exists."""
        found = [
            Dataset(name, self.study.datasets[name].kind, self.images_folder / name)
            for name in self.study.used_datasets
        ]
        return [dataset for dataset in found if dataset.folder.is_dir()]

    def dataset(self, name: str) -> Dataset | None:
        """A data set by name; None if its folder does not exist."""
        return next((dataset for dataset in self.datasets if dataset.name == name), None)

    @cached_property
    def trainings(self) -> list[Training]:
        """All trainings, in the order of the pipeline."""
        conditioning = dict.fromkeys(bank.encoder for bank in self.study.banks.values() if bank.is_generated)
        return [
            *self._trainings("encoder", f"encoders/{self.study.baseline}", self.study.baseline),
            *self._trainings("autoencoder", "autoencoder", ""),
            *(found for name in conditioning for found in self._trainings("diffusion", f"diffusion/{name}", name)),
            *(
                found
                for name in self.study.retraining
                for found in self._trainings("encoder", f"encoders/{name}", name)
            ),
        ]

    @cached_property
    def banks(self) -> list[Bank]:
        """Banks whose folder exists."""
        named = [
            Bank(name, seed, self.folder / "bank" / name / f"seed{seed}", settings.kind)
            for name, settings in self.study.banks.items()
            for seed in self.study.bank_seeds(name)
        ]
        return [bank for bank in named if bank.folder.is_dir()]

    def class_consistency(self, encoder: str) -> float:
        """Class consistency of the bank of an encoder, relative to real images.

        Mean over the seeds of the bank; NaN where the encoder has no bank, or the classes are not known.
        """
        settings = self.study.retraining.get(encoder)
        ratios = [
            bank.quality["class_consistency"]["ratio"]["value"]
            for bank in self.banks
            if settings and bank.name == settings.bank and bank.quality.get("class_consistency")
        ]
        known = [ratio for ratio in ratios if ratio is not None]
        return fmean(known) if known else math.nan

    def embedding_parts(self, encoder: str, dataset: str) -> list[Path]:
        """Files with the embeddings of a data set with the first seed, in order."""
        folder = self.folder / "embeddings" / encoder / dataset / f"seed{self.study.seeds[0]}"
        return current_parts(folder, self.part_count(dataset))

    def part_count(self, dataset: str) -> float:
        """Number of parts of the embeddings of a data set; infinite if its units are not known."""
        if dataset not in self._units_of_splits:
            return math.inf
        return part_count(self._units_of_splits[dataset].values(), self.study.embedding.units_per_part)

    @cached_property
    def _units_of_splits(self) -> dict[str, Counter[str]]:
        """Data set -> number of units of each split, where they are known."""
        tables = {name: self.images_folder / name / "units.tsv" for name in self.study.used_datasets}
        return {
            name: Counter(row["split"] or "train" for row in table_rows(path))
            for name, path in tables.items()
            if path.exists()
        }

    def predictions(self, encoder: str, dataset: str) -> Path:
        """Path of the predictions with the first seed; the file may not exist."""
        return self.folder / "evaluation" / encoder / dataset / f"seed{self.study.seeds[0]}" / "predictions.h5"

    @cached_property
    def evaluations(self) -> list[Evaluation]:
        """All evaluations that the config names, including those that were skipped."""
        encoders = {*self.study.trained_encoders, *self.study.encoders, *UNTRAINED}
        seeds = {f"seed{seed}" for seed in self.study.seeds}
        paths = sorted((self.folder / "evaluation").glob("*/*/seed*/*.json"))
        named = [path for path in paths if path.parts[-4] in encoders and path.parts[-2] in seeds]
        results = [name for transfer in self.study.evaluation.transfer for name in transfer.results.values()]
        measured_on = {*self.study.evaluation.datasets, *results, *self.study.evaluation.benchmarks}
        return [_read_evaluation(path) for path in named if path.parts[-3] in measured_on]

    def _trainings(self, stage: str, where: str, name: str) -> Iterator[Training]:
        for seed in self.study.seeds:
            folder = self.folder / where / f"seed{seed}"
            if (folder / "provenance.json").exists():
                history = _read_history(folder / "history.csv")
                measured = self.folder / "evaluation" / name / self.study.pretraining.dataset / f"seed{seed}"
                knn_history = _read_history(measured / "knn_history.csv") if stage == "encoder" else {}
                yield Training(
                    stage,
                    name,
                    seed,
                    history=history,
                    provenance=read_json(folder / "provenance.json"),
                    folder=folder,
                    knn_history=knn_history,
                )


def _required(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: give the folder of a finished run") from None


def _read_scores(summary: Path) -> list[Score]:
    _required(summary)
    return [
        Score(
            encoder=row["encoder"],
            dataset=row["dataset"],
            seed=int(row["seed"]),
            task=row["task"],
            metric=row["metric"],
            value=_number(row["value"]),
            low=_number(row["low"]),
            high=_number(row["high"]),
            n=int(row["n"]),
            n_groups=int(row.get("n_groups") or 0),
            external_weights=row.get("external_weights", ""),
        )
        for row in read_table(summary, delimiter=",")
    ]


def _read_history(path: Path) -> dict[str, list[float]]:
    if not path.exists():
        return {}
    rows = read_table(path, delimiter=",")
    return {name: [_number(row[name]) for row in rows] for name in (rows[0] if rows else {})}


def _read_evaluation(path: Path) -> Evaluation:
    values = read_json(path)
    return Evaluation(
        encoder=path.parts[-4],
        dataset=path.parts[-3],
        task=path.stem,
        protocol=values.get("protocol", ""),
        transductive=values.get("transductive", False),
        skipped=values.get("skipped", ""),
        unlabelled_test=values.get("unlabelled_test", False),
        unlearnt_classes=tuple(values.get("unlearnt_classes", ())),
        n=values.get("n", 0),
        n_groups=values.get("n_groups", 0),
        n_ungrouped=values.get("n_ungrouped", 0),
    )


def _number(cell: str) -> float:
    """A cell as a number; NaN if it is empty."""
    return float(cell) if cell else math.nan
