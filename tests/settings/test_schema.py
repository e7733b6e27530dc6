"""config/schema.json is generated from the settings. Run this file as a program to write it."""

import json
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from gensis.settings import load_study  # noqa: E402
from gensis.settings.schema import schema  # noqa: E402

PATH = ROOT / "config/schema.json"


def text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def test_the_schema_file_is_generated_from_the_settings():
    assert PATH.read_text(encoding="utf-8") == text(), f"run: python {Path(__file__).relative_to(ROOT)}"


def test_every_section_has_a_description():
    for name, model in schema()["$defs"].items():
        assert model.get("description"), name


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_config_is_valid(path, monkeypatch):
    monkeypatch.setenv("GENSIS_DATA", "somewhere")
    load_study(yaml.safe_load(path.read_text()), frozenset((ROOT / "config/backbones.txt").read_text().split()))


def test_templates_that_are_copied_name_different_data_sets_and_say_that_equal_names_share_images():
    named = []
    for template in ("slides", "embed", "compare"):
        text = (ROOT / "config" / f"{template}.yaml").read_text()
        (name,) = yaml.safe_load(text)["datasets"]
        assert f"# Studies share the images of data sets of one name (results/images/{name}/)" in text
        named.append(name)
    assert len(set(named)) == 3


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
