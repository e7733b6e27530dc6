"""Compare the arms of several runs of one study, each of which has seeds, and perhaps images, of its own.

    python benchmarks/compare_runs.py results/NAME-* [--task knn] [--metric balanced_accuracy_k20] [--picture FILE.png]

Prints a Markdown table with the value of each encoder, its mean over the seeds, and the difference between the arm that
the study is about and each other encoder, with its 95 % interval over seeds and the p-value of an exact two-sided
sign-flip test. Seeds that a run lacks are left out of the differences. Where the folder of a run also has the lines
that `ceiling.py` printed for it, as `oracle.jsonl`, they are one more encoder, `oracle`. `--picture` draws what each
trained encoder gains over the baseline of its own seed.
"""

import argparse
import csv
import json
import statistics
import sys
from pathlib import Path

import matplotlib
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from gensis.errors import UserError
from gensis.evaluation.statistics import over_seeds
from gensis.figures.palette import SERIES
from gensis.settings import load_study
from gensis.settings.roles import UNTRAINED

ORACLE = "oracle"

Values = dict[str, dict[int, float]]
"""Encoder -> seed -> value."""


def read_values(runs: list[Path], task: str, metric: str, dataset: str | None = None) -> Values:
    """Values of all encoders in the `summary.csv` of each run.

    Raises:
        SystemExit: a run has no such metric, or has it on several data sets, or two runs have the same seed, or were
            measured on different data sets.
    """
    values: Values = {}
    measured: dict[str, Path] = {}
    for run in runs:
        rows = [row for row in _measured(run) if (row["task"], row["metric"]) == (task, metric) and row["value"]]
        rows = [row for row in rows if dataset in (None, row["dataset"])]
        if len({row["dataset"] for row in rows}) > 1:
            sys.exit(f"{run}: {metric} was measured on several data sets: choose one by --dataset")
        if not rows:
            sys.exit(f"{run}/summary.csv has no {metric} of {task}: choose another --task and --metric")
        measured.setdefault(rows[0]["dataset"], run)
        if len(measured) > 1:
            found = ", ".join(f"{name} in {path}" for name, path in measured.items())
            sys.exit(f"the runs were measured on different data sets ({found}): compare runs of one study")
        for row in rows:
            of_encoder, seed = values.setdefault(row["encoder"], {}), int(row["seed"])
            if seed in of_encoder:
                sys.exit(f"{run}: seed {seed} is also in another run: give each run seeds of its own")
            of_encoder[seed] = float(row["value"])
    return values


def _measured(run: Path) -> list[dict[str, str]]:
    """The lines of `summary.csv`, then those of the run's oracle, which has the seed of the run.

    Raises:
        SystemExit: the run has an oracle and several seeds, or the oracle is not JSON.
    """
    with open(run / "summary.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if not (run / "oracle.jsonl").exists():
        return rows
    if len(seeds := {row["seed"] for row in rows}) != 1:
        sys.exit(f"{run}: oracle.jsonl belongs to one seed, but the run has {len(seeds)}: move the file away")
    of_oracle = {"encoder": ORACLE, "seed": seeds.pop()}
    try:
        return rows + [json.loads(line) | of_oracle for line in (run / "oracle.jsonl").read_text().splitlines()]
    except ValueError as error:
        sys.exit(f"{run}/oracle.jsonl is not the output of ceiling.py ({error}): write it again")


def table(values: Values, main_arm: str) -> list[str]:
    """Lines of a Markdown table: value by seed, mean, and the main arm minus each other encoder."""
    seeds = sorted({seed for of_encoder in values.values() for seed in of_encoder})
    header = ["encoder", *(f"seed {seed}" for seed in seeds), "mean", f"{main_arm} minus it", "95 % interval", "p"]
    lines = [_line(header), _line(["---"] * len(header))]
    for encoder, of_encoder in values.items():
        cells = [f"{of_encoder[seed]:.3f}" if seed in of_encoder else "" for seed in seeds]
        mean = f"{statistics.fmean(of_encoder.values()):.3f}"
        lines.append(_line([encoder, *cells, mean, *_difference(values[main_arm], of_encoder)]))
    return lines


def _difference(ours: dict[int, float], theirs: dict[int, float]) -> list[str]:
    """Difference, interval and p-value as cells; empty for an arm and itself, or without a common seed."""
    differences = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
    if ours is theirs or not differences:
        return [""] * 3
    found = over_seeds(differences)
    interval = f"{found.low:+.3f} to {found.high:+.3f}" if found.interval else "one seed"
    return [f"{found.difference:+.3f}", interval, f"{found.p:.3f}" if found.test else "too few seeds"]


def draw(values: Values, baseline: str, measure: str, file: Path) -> None:
    """Picture of each trained encoder minus the baseline of the same seed: a dot for each seed, a bar for their mean.

    Args:
        values: as of `read_values`.
        baseline: the encoder that is subtracted.
        measure: name of the metric, for the axis.
        file: of the picture; its ending chooses the format.
    """
    matplotlib.use("agg")
    from matplotlib import pyplot

    others = [name for name in values if name not in (baseline, *UNTRAINED, "chance")]
    picture, axes = pyplot.subplots(figsize=(7.5, 1 + 0.42 * len(others)), layout="constrained")
    for row, name in enumerate(others):
        gains = [value - values[baseline][seed] for seed, value in values[name].items() if seed in values[baseline]]
        points, colour = [100 * gain for gain in gains], SERIES[2 if name == ORACLE else 1]
        axes.scatter(points, [row] * len(points), s=28, color=colour, alpha=0.5, linewidths=0)
        axes.vlines(statistics.fmean(points), row - 0.3, row + 0.3, color=colour, linewidth=3)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(others)), others)
    axes.invert_yaxis()
    axes.set_xlabel(f"{measure}, minus that of {baseline}, in points\ndot: a seed, bar: mean")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    try:
        picture.savefig(file, dpi=150)
    except (ValueError, OSError) as error:  # another format, or a folder that does not exist
        sys.exit(f"{file} cannot be written: {error}")


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: argparse.Namespace) -> None:
    """Print the table."""
    for run in arguments.runs:
        if absent := [name for name in ("config.yaml", "summary.csv") if not (run / name).exists()]:
            sys.exit(f"{run} has no {absent[0]}: name folders of finished runs, such as results/NAME")
    texts = [(run / "config.yaml").read_text() for run in arguments.runs]
    try:  # no image is read, so variables in their paths need not be set
        studies = [load_study(yaml.safe_load(text.replace("$", ""))) for text in texts]
    except UserError as error:
        sys.exit(f"config.yaml of a run is not valid with this version: {error}")
    if len({(study.main_arm, tuple(study.retraining)) for study in studies}) > 1:
        sys.exit("the runs have different arms: compare runs of one study")
    values = read_values(arguments.runs, arguments.task, arguments.metric, arguments.dataset)
    if studies[0].main_arm not in values:
        sys.exit(f"no run has {arguments.metric} of {arguments.task} of an arm with a bank: nothing to compare")
    print("\n".join(table(values, studies[0].main_arm)))
    if arguments.picture:
        draw(values, studies[0].baseline, f"{arguments.task}, {arguments.metric.replace('_', ' ')}", arguments.picture)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders in results/")
    parser.add_argument("--task", default="knn")
    parser.add_argument("--metric", default="balanced_accuracy_k20")
    parser.add_argument("--dataset", help="needed if the runs measured several")
    parser.add_argument("--picture", type=Path, help="file to draw, such as comparison.png")
    main(parser.parse_args())
