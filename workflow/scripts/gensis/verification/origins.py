"""Whether artifacts were made from what lies beside them, with the settings of the study."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gensis.verification.findings import Findings

Content = str | None | Callable[[], str | None]
"""Content id of an input; None where it is not known, for it cannot be read; called when all tables are compared."""
Inputs = Mapping[str, tuple[Path, Content]]
"""Name -> where the input lies, and its content id."""


class Origins:
    """Compares provenance records with what they should say: at once settings and seed, and inputs when asked to.

    Tables are inputs of most artifacts. One that nothing was made from is itself wrong, and what is chosen by it is
    not compared; so they come first, when all records are known.
    """

    def __init__(self, findings: Findings):
        self._findings = findings
        self._of_tables: dict[Path, list[tuple[Path, bool]]] = defaultdict(list)
        self._others: list[tuple[Path, str, Path, Content]] = []

    def compare(
        self, path: Path, record: Mapping[str, Any], settings: Mapping[str, Any], seed: int | None, inputs: Inputs
    ) -> None:
        """Note what the record of an artifact says otherwise.

        Args:
            path: the artifact's file that holds the record.
            record: its provenance.
            settings: of its stage.
            seed: that it is made with.
            inputs: what it is made from.
        """
        found = record["settings"]
        if found != settings:
            others = sorted(key for key in found | settings if found.get(key) != settings.get(key))
            self._findings.add(path, f"made with other settings than the config's ({', '.join(others)})")
        if record["seed"] != seed:
            self._findings.add(path, f"made with seed {record['seed']}")
        recorded = record["inputs"]
        for name in sorted(recorded.keys() - inputs.keys()):
            self._findings.add(path, f"made from '{name}', which the study does not give it")
        for name, (source, content) in inputs.items():
            if name not in recorded:
                self._findings.add(path, f"made without {source}")
            elif source.suffix == ".tsv":
                self._of_tables[source].append((path, content in (None, recorded[name])))
            else:
                self._others.append((path, recorded[name], source, content))

    def compare_tables(self) -> None:
        """Note tables that nothing was made from, and what was made from another one than the rest."""
        for table, uses in self._of_tables.items():
            others = [path for path, same in uses if not same]
            if others and len(others) == len(uses):
                more = f" and {len(others) - 1} more were" if len(others) > 1 else " was"
                self._findings.add(table, f"not the table that {others[0]}{more} made from")
            else:
                for path in others:
                    self._findings.add(path, f"made from another {table} than lies there now")

    def compare_others(self) -> None:
        """Note what was made from other inputs."""
        for path, recorded, source, content in self._others:
            now = content() if callable(content) else content
            if now not in (None, recorded):
                self._findings.add(path, f"made from another {source} than lies there now")
