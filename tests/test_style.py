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
AS_IN_DIFFUSERS = LIBRARY / "diffusion/pipeline.py"


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


def signatures(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Names of the functions and dataclasses of a module or of rules, and what each takes by position."""
    text = path.read_text()
    if path.suffix == ".smk":  # Python, but for the rules
        text = "\n".join(f"{head} ..." for head in re.findall(r"^ *(def .+?:)$", text, re.MULTILINE | re.DOTALL))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
            yield node.name, [name for name in names if name not in ("self", "cls")]
        elif isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(each) for each in node.decorator_list):
            yield node.name, positional_fields(node)


def positional_fields(dataclass: ast.ClassDef) -> list[str]:
    """Fields of a dataclass that may be given by position."""
    if any("kw_only=True" in ast.unparse(each) for each in dataclass.decorator_list):
        return []
    fields = [ast.unparse(each) for each in dataclass.body if isinstance(each, ast.AnnAssign)]
    return fields[: fields.index("_: KW_ONLY")] if "_: KW_ONLY" in fields else fields


def test_functions_and_dataclasses_take_at_most_four_arguments_by_position():
    for path in sorted({*LIBRARY.parent.rglob("*.py"), *(ROOT / "workflow/rules").glob("*.smk")} - {AS_IN_DIFFUSERS}):
        for name, arguments in signatures(path):
            where = f"{path.relative_to(ROOT)}: {name}"
            assert len(arguments) <= MOST_POSITIONAL, f"{where}: make the last ones keyword-only"


def test_image_tensors_change_range_and_axis_order_only_in_one_module():
    by_hand = re.compile(r"(?<!1) / 255\b|\* 255\b|mul\(255\)|127\.5|permute\(0, (3, 1, 2|2, 3, 1)\)")
    without_torch = {"slides", "figures"}
    own = {LIBRARY / "ranges.py", AS_IN_DIFFUSERS}
    for path in sorted(LIBRARY.parent.rglob("*.py")):
        if path not in own and not without_torch & set(path.parts):
            found = by_hand.search(path.read_text())
            assert not found, f"{path.relative_to(ROOT)}: use gensis.ranges instead of `{found[0].strip()}`"


def test_every_rule_says_in_a_line_what_it_makes():
    for path in [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]:
        for name, following in re.findall(r"^(?:use rule \w+ as|rule) (\w+).*:\n(.*)", path.read_text(), re.MULTILINE):
            assert re.fullmatch(r' {4}""".+\."""', following), f"{path.name}: {name} has no docstring"
