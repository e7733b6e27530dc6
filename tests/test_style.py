"""The repository passes its own style checks."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "workflow/scripts/gensis"
MOST_POSITIONAL = 4
# Packages and modules of which some functions still take more.
NOT_YET = {"bank", "command.py", "diffusion", "evaluation", "figures", "ssl", "training", "verification"}


def check(module: str, *arguments: str) -> None:
    """Run a checker on the repository; fails with its output."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def test_python_passes_ruff():
    check("ruff", "check", "--no-cache", ".")


def test_python_is_formatted():
    check("ruff", "format", "--check", "--no-cache", ".")


def test_rules_are_formatted():
    check("snakefmt", "--check", "Snakefile", "workflow/rules")


def test_rules_pass_the_snakemake_linter():
    check("snakemake", "--lint", "--configfile", "config/demo.yaml")


def public_functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Functions, methods and constructors of a module, without those whose name begins with an underscore."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and (node.name in ("__init__", "__call__") or node.name[0] != "_"):
            yield node


def positional(function: ast.FunctionDef) -> list[str]:
    """Arguments that may be given by position, without the object or class of a method."""
    arguments = [*function.args.posonlyargs, *function.args.args]
    return [argument.arg for argument in arguments if argument.arg not in ("self", "cls")]


def test_functions_take_at_most_four_arguments_by_position():
    for path in sorted(LIBRARY.rglob("*.py")):
        package = path.relative_to(LIBRARY).parts[0]
        for function in public_functions(ast.parse(path.read_text())) if package not in NOT_YET else ():
            where = f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
            assert len(positional(function)) <= MOST_POSITIONAL, f"{where}: make the last ones keyword-only"


def test_image_tensors_change_range_and_axis_order_only_in_one_module():
    by_hand = re.compile(r"(?<!1) / 255\b|\* 255\b|mul\(255\)|127\.5|permute\(0, (3, 1, 2|2, 3, 1)\)")
    without_torch = {"slides", "figures"}
    own = {LIBRARY / "images/ranges.py", LIBRARY / "diffusion/pipeline.py"}
    for path in sorted(LIBRARY.parent.rglob("*.py")):
        if path not in own and not without_torch & set(path.parts):
            found = by_hand.search(path.read_text())
            assert not found, f"{path.relative_to(ROOT)}: use gensis.images.ranges instead of `{found[0].strip()}`"
