"""A finished run compared with docs/artifacts.md: every file is documented, with exactly the fields that it has."""

import csv
import json
import re
from pathlib import Path

import h5py
import pytest

ROOT = Path(__file__).parents[2]
# Files in formats of other projects, and working files.
NOT_OURS = re.compile(
    r"/(logs|benchmarks|tensorboard|checkpoints|denoiser|scheduler)/"
    r"|(model\.safetensors|model_index\.json|pipeline\.py|\.snakemake_timestamp)$"
)


def sections() -> dict[str, str]:
    """Documented files: path pattern -> section of the document."""
    parts = re.split(r"^### `(.*)`$", (ROOT / "docs/artifacts.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def documented(text: str) -> tuple[set[str], set[str]]:
    """Names of required fields, and of optional fields."""
    rows = re.findall(r"^\| `([^`]+)` \|[^|]*\|(.*)\|$", text, flags=re.MULTILINE)
    optional = {name for name, meaning in rows if "*optional*" in meaning}
    return {name for name, _ in rows} - optional, optional


def common_provenance() -> set[str]:
    text = (ROOT / "docs/artifacts.md").read_text().split("## Images")[0]
    return documented(text)[0]


def fields(path: Path) -> set[str]:
    """Names of all fields in a file."""
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return set(file) | set(file.attrs)
    if path.suffix == ".geojson":
        return set(json.loads(path.read_text()))
    if path.suffix == ".json":
        names = set(json.loads(path.read_text()))
        return names - common_provenance() if path.name == "provenance.json" else names
    if path.suffix in (".tsv", ".csv"):
        with open(path) as stream:
            return set(next(csv.reader(stream, delimiter="\t" if path.suffix == ".tsv" else ",")))
    return set()


def pattern(section: str) -> re.Pattern:
    return re.compile(re.sub(r"<[^>]+>", "[^/]+", re.escape(section).replace(r"\<", "<").replace(r"\>", ">")))


@pytest.fixture(scope="module")
def files(finished):
    names = (path.relative_to(finished.clone) for path in (finished.clone / "results").rglob("*") if path.is_file())
    return [name for name in names if not NOT_OURS.search(name.as_posix())]


def test_every_file_of_a_run_is_documented(files):
    known = [pattern(section) for section in sections()]
    assert [name for name in files if not any(each.fullmatch(name.as_posix()) for each in known)] == []


@pytest.mark.parametrize("section", sections())
def test_a_file_has_exactly_the_documented_fields(finished, files, section):
    found = [name for name in files if pattern(section).fullmatch(name.as_posix())]
    if any(word in section for word in ("autoencoder", "reconstructions", "webdataset")):
        pytest.skip("the tiny chain generates in pixels, and exports to folders")
    assert found
    required, optional = documented(sections()[section])
    for name in found:
        present = fields(finished.clone / name)
        assert required <= present, name
        assert present <= required | optional, name


def test_documented_formats_are_those_that_the_library_writes():
    code = "".join(path.read_text() for path in (ROOT / "workflow/scripts").rglob("*.py"))
    formats = re.findall(r"^\| `format` \|[^|]*\| `([^`]+)`", (ROOT / "docs/artifacts.md").read_text(), re.MULTILINE)
    assert formats
    assert [name for name in formats if f'"{name}"' not in code] == []


def test_provenance_has_the_common_fields(finished):
    run = finished.clone / "results/tiny"
    for path in run.rglob("provenance.json"):
        if "checkpoints" not in path.parts:
            assert common_provenance() <= set(json.loads(path.read_text())), path
    with h5py.File(finished.clone / "results/images/tissue/lymphoid-1.h5") as file:
        assert common_provenance() == set(json.loads(file.attrs["provenance"]))


def test_coordinates_are_stored_as_in_clam_and_trident(finished):
    with h5py.File(finished.clone / "results/images/tissue/lymphoid-1.h5") as file:
        assert {"patch_size", "patch_size_level0", "patch_level"} <= set(file["coords"].attrs)
