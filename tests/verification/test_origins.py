from pathlib import Path

import pytest

from gensis.verification.findings import Findings
from gensis.verification.origins import Origins

TRAIN, WEIGHTS = Path("train.tsv"), Path("model.safetensors")
RECORD = {"settings": {"steps": 1, "px": 2}, "seed": 0, "inputs": {"train": "t", "encoder": "e"}}
INPUTS = {"train": (TRAIN, "t"), "encoder": (WEIGHTS, "e")}


def compared(*artifacts):
    """Problems of artifacts, each given as a name and changes of the record and inputs above."""
    findings = Findings()
    origins = Origins(findings)
    for name, record, inputs in artifacts:
        origins.compare(Path(name), RECORD | record, settings=RECORD["settings"], seed=0, inputs=INPUTS | inputs)
    origins.compare_tables()
    origins.compare_others()
    return findings.lines()


@pytest.mark.parametrize(
    ("record", "inputs", "line"),
    [
        ({"settings": {"steps": 1, "size": 2}}, {}, "a: made with other settings than the config's (px, size)"),
        ({"seed": 1}, {}, "a: made with seed 1, not 0"),
        ({"inputs": {"train": "t", "encoder": "x"}}, {}, "a: made from another model.safetensors than the current one"),
        ({"inputs": {"train": "t"}}, {}, "a: made without model.safetensors"),
        (
            {"inputs": RECORD["inputs"] | {"init": "i"}},
            {},
            "a: made from 'init', which is not an input in this study",
        ),
        ({}, {"encoder": (WEIGHTS, lambda: "x")}, "a: made from another model.safetensors than the current one"),
        ({"inputs": {"train": "x", "encoder": "e"}}, {}, "train.tsv: not the table that a was made from"),
    ],
)
def test_each_difference_of_a_record_is_one_line(record, inputs, line):
    assert compared(("a", record, inputs)) == [line]


def test_unreadable_inputs_are_not_compared():
    assert compared(("a", {}, {"train": (TRAIN, None), "encoder": (WEIGHTS, lambda: None)})) == []


def test_an_unused_table_is_reported_itself_otherwise_the_artifact_is():
    other = {"inputs": RECORD["inputs"] | {"train": "x"}}
    assert compared(("a", other, {}), ("b", other, {})) == ["train.tsv: not the table that a and 1 more were made from"]
    assert compared(("a", other, {}), ("b", {}, {})) == ["a: made from another train.tsv than the current one"]
