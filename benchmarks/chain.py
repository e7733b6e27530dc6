"""Runs the jobs of planned runs one after the other in this process, so that none has a start of its own.

    python benchmarks/chain.py --folder FOLDER --summaries OUT PLANS/NAME/*.plan

A plan holds the commands that `snakemake --dry-run --printshellcmds` prints, one per line, in order, with `{root}` in
place of this repository's folder; `gpu_prepare.sh` writes plans. A command of several plans is run once, and never
again in the same folder. Each run is verified when its plan ends. The `summary.csv` of all runs of the plans' folder
goes to OUT as one file, NAME-summary.csv. Prints a JSON line per job and per plan.
"""

import argparse
import json
import os
import runpy
import shlex
import sys
import time
from collections import defaultdict
from pathlib import Path

from side_by_side import ROOT, SCRIPTS

DONE = Path("done.json")
"""Commands that have ended well, beside the results."""


def main(arguments: argparse.Namespace) -> None:
    """Run the plans; exit with one line if a job fails."""
    sys.path.insert(0, str(SCRIPTS))
    texts = {path: path.read_text().replace("{root}", str(ROOT)) for path in arguments.plans}
    plans = {f"{path.parent.name}/{path.stem}": text.splitlines() for path, text in texts.items()}
    summaries = arguments.summaries.absolute()
    os.chdir(arguments.folder)
    runs: dict[Path, dict[Path, list[str]]] = defaultdict(dict)
    done = json.loads(DONE.read_text()) if DONE.exists() else []
    for plan, commands in plans.items():
        (stored,) = (command for command in commands if "store_config.py" in command)
        output = Path(argument(stored, "--output")).parent
        began, jobs = time.perf_counter(), [command for command in commands if command not in done]
        for command in [*jobs, verification(stored, output)]:
            seconds = run(command)
            done.append(command)
            DONE.write_text(json.dumps(done))
            print(json.dumps({"plan": plan, "job": script_of(command)[0].stem, "seconds": seconds}), flush=True)
        runs[Path(plan).parent][output] = (output / "summary.csv").read_text().splitlines()
        write_summary(summaries / f"{Path(plan).parent}-summary.csv", list(runs[Path(plan).parent].values()))
        seconds = round(time.perf_counter() - began, 1)
        print(json.dumps({"plan": plan, "jobs": len(jobs), "seconds": seconds, "verified": True}), flush=True)


def write_summary(path: Path, tables: list[list[str]]) -> None:
    """Write the lines of several tables with equal headers as one table."""
    path.write_text("\n".join([tables[0][0], *(line for table in tables for line in table[1:])]) + "\n")


def verification(stored: str, output: Path) -> str:
    """The command that verifies the run in a folder, whose settings a command stored."""
    config = shlex.quote(argument(stored, "--config"))
    folders = f"--run-folder {output} --images-folder results/images"
    return f"{SCRIPTS}/verify_run.py --config {config} {folders} > {output}/logs/verify.log 2>&1"


def argument(command: str, name: str) -> str:
    """Value of an option of a command."""
    words = script_of(command)[1]
    return words[words.index(name) + 1]


def script_of(command: str) -> tuple[Path, list[str]]:
    """The script of a command and its arguments, without the programs that start it and without redirections."""
    words = shlex.split(command)
    end = next((number for number, word in enumerate(words) if word in (">", "2>&1", "|")), len(words))
    first = max(number for number, word in enumerate(words[:end]) if Path(word).parent == SCRIPTS)
    return Path(words[first]), words[first + 1 : end]


def run(command: str) -> float:
    """Run a command in this process, with its output in its log; returns its seconds. Exits if it fails."""
    script, words = script_of(command)
    log = Path(shlex.split(command.replace("2>&1", ""))[-1])
    log.parent.mkdir(parents=True, exist_ok=True)
    began, sys.argv = time.perf_counter(), [str(script), *words]
    kept = [os.dup(number) for number in (1, 2)]
    with open(log, "w") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    try:
        runpy.run_path(str(script), run_name="__main__")
        failure = None
    except SystemExit as end:
        failure = end.code
    finally:
        for stream, number in zip((sys.stdout, sys.stderr), (1, 2), strict=True):
            stream.flush()
            os.dup2(kept[number - 1], number)
            os.close(kept[number - 1])
    if failure:
        sys.exit(f"error: {script.stem}: {failure}: see {log.absolute()}")
    return round(time.perf_counter() - began, 2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plans", type=Path, nargs="+")
    parser.add_argument("--folder", type=Path, default=Path(), help="folder of the results")
    parser.add_argument("--summaries", type=Path, required=True, help="folder for the summaries")
    main(parser.parse_args())
