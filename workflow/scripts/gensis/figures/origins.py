"""What is needed to reproduce the run: configuration, versions, commit."""

from typing import Any

from gensis.artifacts.files import read_json
from gensis.figures.markup import details, paragraph, table, text
from gensis.figures.run import Run


def origins(run: Run) -> str:
    """The resolved configuration, and the versions of the software that ran it."""
    records = [training.provenance for training in run.trainings]
    records += [record for bank in run.banks for record in bank.provenance()]
    records = records or imported(run)
    rows = [
        ["commit", _found(records, "commit")],
        ["gensis", _found(records, "gensis")],
        ["Python", _found(records, "python")],
        *(
            [name, _joined(record["packages"].get(name) for record in records if "packages" in record)]
            for name in dict.fromkeys(name for record in records for name in record.get("packages", {}))
        ),
        ["device", _found(records, "device")],
        ["first and last job finished", _span([record["finished"] for record in records if record.get("finished")])],
    ]
    found = [[text(name), text(value)] for name, value in rows if value]
    versions = table(["item", "value"], found) if found else paragraph("No provenance was found.", "note")
    config = f'<pre class="scroll">{text(run.config_text)}</pre>'
    return details("Configuration with all defaults", config) + versions


def imported(run: Run) -> list[dict[str, Any]]:
    """Provenance of the external encoders, of a run that trained nothing."""
    paths = [run.folder / f"encoders/{name}/seed{run.study.seeds[0]}/provenance.json" for name in run.study.encoders]
    return [read_json(path) for path in paths if path.exists()]


def _found(records: list[dict[str, Any]], key: str) -> str:
    return _joined(record.get(key) for record in records)


def _joined(values: Any) -> str:
    """The distinct values, in order; more than one means that parts of the run were made at different times."""
    return ", ".join(dict.fromkeys(str(value) for value in values if value))


def _span(times: list[str]) -> str:
    return " to ".join(dict.fromkeys((min(times), max(times)))) if times else ""
