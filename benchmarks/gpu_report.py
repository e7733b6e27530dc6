"""Writes the figures of `gpu.sh` into docs/results.md: python benchmarks/gpu_report.py OUT...

With several folders, a part that is in several of them is taken from the last. Without a folder, nothing is measured.
"""

import argparse
import csv
import json
import re
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from side_by_side import ROOT

PAGE = ROOT / "docs" / "results.md"
SECTION = re.compile(r"(?<=<!-- benchmarks/gpu_report.py -->\n).*?(?=<!-- end -->)", re.DOTALL)
Lines = list[dict[str, Any]]


@dataclass(frozen=True)
class Row:
    """A figure of the table."""

    name: str
    part: str
    """Part of `gpu.sh` that measures it."""
    target: str
    """On an H100."""
    figure: Callable[[Lines], str]
    """The figure, of the lines of the part; KeyError or IndexError if they are not all there."""


def rates(lines: Lines, subject: str = "gensis") -> list[float]:
    """Rates of the repeats of a subject."""
    return {line["subject"]: line["rates"] for line in lines}[subject]


def spread(values: list[float], unit: str) -> str:
    """Median and range."""
    return f"{statistics.median(values):,.0f} {unit} [{min(values):,.0f}, {max(values):,.0f}]"


def images(lines: Lines) -> str:
    """Images per second."""
    return spread(rates(lines), "images/s")


def steps(lines: Lines) -> str:
    """Steps per second."""
    return spread([rate / lines[0]["batch"] for rate in rates(lines)], "steps/s")


def ratio(lines: Lines, other: str) -> float:
    """Median over the repeats of our rate as a multiple of that of another subject."""
    return statistics.median(a / b for a, b in zip(rates(lines), rates(lines, other), strict=True))


def beside(other: str) -> Callable[[Lines], str]:
    """Our rate, as a multiple of that of another subject."""
    return lambda lines: f"{ratio(lines, other):.2f} x {statistics.median(rates(lines, other)):,.0f} images/s"


def data_share(lines: Lines) -> str:
    """Share of a step's time that data, views and transfer take."""
    return f"{1 - ratio(lines, 'gensis-tensors'):.0%}"


def passed(lines: Lines) -> str:
    """Checks that passed."""
    failed = [line["check"] for line in lines if not line["ok"]]
    return f"{len(lines) - len(failed)} of {len(lines)} equal" + (f"; not: {', '.join(failed)}" if failed else "")


def finished(lines: Lines) -> str:
    """Plans that were finished and verified."""
    plans = [f"{line['jobs']} jobs in {line['seconds']:.0f} s, verified" for line in lines if line.get("verified")]
    if not plans:
        raise KeyError("verified")
    return "; ".join(plans)


def accuracy(lines: Lines) -> str:
    """Accuracy of CIFAR-10 by k-NN, or how far the training went."""
    return lines[-1]["reached"]


VIT, RESNET = "ViT-S/16, 2 x 224 + 8 x 96 px", "ResNet-18, 32 px, two views"
SMALL = "SimCLR, ResNet-18 with 16 to 128 channels, 16 px"
ROWS = [
    Row("Device against CPU", "checks", "all equal", passed),
    Row(f"{VIT}, eager", "paper", "", images),
    Row(f"{VIT}: beside the original's loop, 16 workers", "paper", ">= 2 x", beside("original")),
    Row(f"{VIT}: data, views, transfer in a step", "paper", "<= 15 %", data_share),
    Row(f"{VIT}, compiled", "compiled_paper", ">= 1,500 images/s", images),
    Row(f"{RESNET}, eager", "resnet", "", images),
    Row(f"{RESNET}: data, views, transfer in a step", "resnet", "<= 15 %", data_share),
    Row(f"{RESNET}, compiled", "compiled_resnet", ">= 25,000 images/s", images),
    Row(f"{SMALL}, batch 128", "small", ">= 400 steps/s", steps),
    Row(f"{SMALL}, batch 128, compiled", "compiled_small", ">= 400 steps/s", steps),
    Row("Bank, 32 px", "bank", "", images),
    Row("Bank, 32 px: beside a plain loop with diffusers", "bank", ">= 2 x", beside("diffusers")),
    Row("Bank, 32 px, compiled: beside the plain loop", "compiled_bank", ">= 2 x", beside("diffusers")),
    Row("Compiled steps against eager ones", "compiled_checks", "all equal", passed),
    Row("Demo, all jobs in one process", "demo", "", finished),
    Row("Study, seed after seed", "study", "", finished),
    Row("CIFAR-10, ResNet-18", "cifar", "", accuracy),
]


def main(arguments: argparse.Namespace) -> None:
    """Replace the section of the page."""
    lines, ended = read(arguments.folders)
    table = ["| figure | target | measured |", "|---|---|---|"]
    table += [f"| {row.name} | {row.target} | {measured(row, lines, ended)} |" for row in ROWS]
    text = "\n".join([where(lines.get("environment", [])), "", *table]) + "\n"
    page = arguments.page.read_text()
    arguments.page.write_text(SECTION.sub(lambda match: text, page))


def read(folders: Iterable[Path]) -> tuple[dict[str, Lines], dict[str, str]]:
    """Lines of each part, and how each ended."""
    lines: dict[str, Lines] = {}
    ended: dict[str, str] = {}
    for folder in folders:
        own: dict[str, Lines] = {}
        for line in map(json.loads, (folder / "figures.jsonl").read_text().splitlines()):
            own.setdefault(line["part"], []).append(line)
        if reached := of_cifar(folder):
            own["cifar"] = [{"reached": reached}]
        lines |= own
        with open(folder / "parts.tsv") as stream:
            ended |= {row["part"]: row["ended"] for row in csv.DictReader(stream, delimiter="\t")}
    return lines, ended


def of_cifar(folder: Path) -> str | None:
    """Accuracies by k-NN if the training is finished, else its last line in the log; None before."""
    found = [
        f"k-NN, {metric['metric'].replace('accuracy_', '')}: {metric['value']:.4f}"
        for path in sorted(folder.glob("cifar-knn-*.json"))
        for metric in json.loads(path.read_text()).get("metrics", [])
        if metric["metric"].startswith("accuracy_")
    ]
    log = (folder / "log.txt").read_text().rpartition("== cifar\n")[2] if (folder / "log.txt").exists() else ""
    steps_done = re.findall(r"(step \d+ of \d+):", log)
    return "; ".join(found) or (steps_done[-1] if steps_done else None)


def measured(row: Row, lines: dict[str, Lines], ended: dict[str, str]) -> str:
    """A row's figure, or why there is none."""
    how = ended.get(row.part, "")
    try:
        figure = row.figure(lines[row.part])
    except (KeyError, IndexError):
        return f"not measured ({how})" if how else "not measured"
    return f"{figure} ({how})" if how == "cut off" else figure


def where(environment: Lines) -> str:
    """Sentence about the machine."""
    if not environment:
        return "Not measured yet."
    values = environment[-1]
    versions = ", ".join(f"{name} {values[name]}" for name in ("python", "torch", "torchvision", "timm"))
    return f"{values['date']}, commit {values['commit']}, {values['gpu']}, {values['cores']} CPU cores, {versions}."


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="*", help="folders that gpu.sh wrote")
    parser.add_argument("--page", type=Path, default=PAGE)
    main(parser.parse_args())
