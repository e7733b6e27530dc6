"""Comparison of provenance: artifacts must be made from the current inputs, with the settings of the study."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gensis.verification.findings import Findings

Content = str | None | Callable[[], str | None]
"""Content id of an input; None if it cannot be read. A function is called after all tables were compared."""
Inputs = Mapping[str, tuple[Path, Content]]
"""Name -> path of the input, and its content id."""


class Origins:
    """Compares provenance records with the expected values: settings and seed immediately, inputs later.

    Tables are inputs of most artifacts. If no artifact was made from the current table, the table itself is wrong, and
    the selection that depends on it is not compared. So tables are compared first, when all records are known.
    """

    def __init__(self, findings: Findings):
        self._findings = findings
        self._of_tables: dict[Path, list[tuple[Path, bool]]] = defaultdict(list)
        self._others: list[tuple[Path, str, Path, Content]] = []

    def compare(
        self, path: Path, record: Mapping[str, Any], *, settings: Mapping[str, Any], seed: int | None, inputs: Inputs
    ) -> None:
        """Report differences between the record of an artifact and the expected values.

        Args:
            path: the artifact's file that contains the record.
            record: its provenance.
            settings: expected settings of its stage.
            seed: expected seed.
            inputs: expected inputs.
        """
        recorded_settings = record["settings"]
        if recorded_settings != settings:
            others = sorted(
                key for key in recorded_settings | settings if recorded_settings.get(key) != settings.get(key)
            )
            self._findings.add(path, f"made with other settings than the config's ({', '.join(others)})")
        if record["seed"] != seed:
            self._findings.add(path, f"made with seed {record['seed']}, not {seed}")
        recorded = record["inputs"]
        for name in sorted(recorded.keys() - inputs.keys()):
            self._findings.add(path, f"made from '{name}', which is not an input in this study")
        for name, (source, content) in inputs.items():
            if name not in recorded:
                self._findings.add(path, f"made without {source}")
            elif source.suffix == ".tsv":
                self._of_tables[source].append((path, content in (None, recorded[name])))
            else:
                self._others.append((path, recorded[name], source, content))

    def compare_tables(self) -> None:
        """Report tables that no artifact was made from, and artifacts made from another table than the others."""
        for table, uses in self._of_tables.items():
            others = [path for path, same in uses if not same]
            if others and len(others) == len(uses):
                more = f" and {len(others) - 1} more were" if len(others) > 1 else " was"
                self._findings.add(table, f"not the table that {others[0]}{more} made from")
            else:
                for path in others:
                    self._findings.add(path, f"made from another {table} than the current one")

    def compare_others(self) -> None:
        """Report artifacts that were made from other inputs."""
        for path, recorded, source, content in self._others:
            now = content() if callable(content) else content
            if now not in (None, recorded):
                self._findings.add(path, f"made from another {source} than the current one")
