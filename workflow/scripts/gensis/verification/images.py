"""Verification of a data set: its image stores, their outcomes, and the tables that index them."""

from pathlib import Path
from typing import Any

from gensis.artifacts.tables import read_table
from gensis.images.rows import ALL, parse_rows
from gensis.images.store import Store
from gensis.verification.files import checked_json, provenance_of
from gensis.verification.findings import Findings
from gensis.verification.origins import Origins


class Images:
    """A data set: its tables, as far as they can be read, and the content ids and sizes of its stores."""

    def __init__(self, folder: Path, with_train: bool, findings: Findings):
        """Read the tables.

        Args:
            folder: of the stores.
            with_train: whether it has a `train.tsv`: true for the data set of pre-training.
            findings: problems are added to it.
        """
        self.folder, self._findings = folder, findings
        self._units = self._table("units", "split")
        self._train = self._table("train") if with_train else []
        self.contents: dict[str, str] = {}
        """Unit -> content id in its store."""
        self._counts: dict[str, int] = {}

    def _table(self, name: str, *columns: str) -> list[dict[str, str]]:
        path = self.folder / f"{name}.tsv"
        with self._findings.reading(path):
            table = read_table(path)
            for row in table:
                int(row["images"])
                if not all(isinstance(row[column], str) for column in ("unit", "content", *columns)):
                    raise ValueError("it has too few columns")
            if table:
                return table
            self._findings.add(path, "is empty")
        return []

    def units(self, *splits: str) -> list[str] | None:
        """Units of one or both splits, in the order of their embeddings; None if `units.tsv` has a problem."""
        if self.folder / "units.tsv" in self._findings:
            return None
        by_split = {split: [row for row in self._units if (row["split"] or "train") == split] for split in splits}
        return [row["unit"] for rows in by_split.values() for row in rows]

    def selected(self) -> dict[str, int] | None:
        """Unit -> number of its images that are used; None if `units.tsv` has a problem."""
        if self.folder / "units.tsv" in self._findings:
            return None
        return {row["unit"]: int(row["images"]) for row in self._units}

    def learnt_from(self) -> dict[str, int] | None:
        """Units of `train.tsv`, in order -> number of their images; None if `train.tsv` has a problem."""
        if self.folder / "train.tsv" in self._findings:
            return None
        return {row["unit"]: int(row["images"]) for row in self._train}

    def check_stores(self, settings: dict[str, Any], origins: Origins) -> None:
        """Check all stores and outcomes.

        Args:
            settings: of the data set's stage.
            origins: compares the provenance.
        """
        listed = [row["unit"] for row in self._units]
        for unit in listed or sorted(path.stem for path in self.folder.glob("*.h5")):
            self._check_store(unit, settings, origins)

    def _check_store(self, unit: str, settings: dict[str, Any], origins: Origins) -> None:
        path = self.folder / f"{unit}.h5"
        outcome = checked_json(path.with_suffix(".json"), self._findings)
        with self._findings.reading(path), Store(path) as store:
            self.contents[unit], self._counts[unit] = store.content, len(store)
            if store.computed_content() != store.content:
                self._findings.add(path, "damaged: its content id does not match its content")
            record = provenance_of(store)
            slide = {name: (path, None) for name in record["inputs"]}  # it may have been archived
            origins.compare(path, record, settings=settings, seed=None, inputs=slide)
            if outcome and (outcome["content"], outcome["images"]) != (store.content, len(store)):
                self._findings.add(path, f"not the store that {path.with_suffix('.json').name} describes")

    def check_tables(self) -> None:
        """Compare the tables with the stores and with each other.

        Called after the tables were compared with the artifacts made from them: tables with known problems are skipped.
        """
        for name, rows in {"units": self._units, "train": self._train}.items():
            path = self.folder / f"{name}.tsv"
            with self._findings.reading(path):
                for row in rows if path not in self._findings else ():
                    if row["unit"] in self._counts:
                        self._check_row(path, row)
        train = self.folder / "train.tsv"
        if self._train and train not in self._findings and self.folder / "units.tsv" not in self._findings:
            columns = ("unit", "images", "rows")
            chosen = [[row.get(name, ALL) for name in columns] for row in self._train]
            of_units = [row for row in self._units if row["split"] != "test" and row["images"] != "0"]
            if chosen != [[row.get(name, ALL) for name in columns] for row in of_units]:
                self._findings.add(train, "selects other images than units.tsv")

    def _check_row(self, table: Path, row: dict[str, str]) -> None:
        unit, count = row["unit"], self._counts[row["unit"]]
        rows = parse_rows(row.get("rows", ALL), count)
        if row["content"] != self.contents[unit]:
            self._findings.add(table, f"lists another store of {unit} than the current one")
        elif len(rows) != int(row["images"]) or rows.max(initial=-1) >= count:
            chosen = f"{len(rows)} of the {count} images of {unit}, the last row {rows.max(initial=-1)}"
            self._findings.add(table, f"selects {chosen}, but states {row['images']}")
