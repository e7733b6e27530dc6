from pathlib import Path

import pytest

from gensis.verification.findings import Findings
from gensis.verification.origins import Origins

TRAIN, WEIGHTS = Path("train.tsv"), Path("model.safetensors")
RECORD = {"settings": {"steps": 1, "px": 2}, "seed": 0, "inputs": {"train": "t", "encoder": "e"}}
INPUTS = {"train": (TRAIN, "t"), "encoder": (WEIGHTS, "e")}


def compared(*artifacts):
    """The lines about artifacts, each a name with what differs from the record and from the inputs above."""
    findings = Findings()
    origins = Origins(findings)
    for name, record, inputs in artifacts:
        origins.compare(Path(name), RECORD | record, RECORD["settings"], 0, INPUTS | inputs)
    origins.compare_tables()
    origins.compare_others()
    return findings.lines()


@pytest.mark.parametrize(
    ("record", "inputs", "line"),
    [
        ({"settings": {"steps": 1, "size": 2}}, {}, "a: made with other settings than the config's (px, size)"),
        ({"seed": 1}, {}, "a: made with seed 1"),
        ({"inputs": {"train": "t", "encoder": "x"}}, {}, "a: made from another model.safetensors than lies there now"),
        ({"inputs": {"train": "t"}}, {}, "a: made without model.safetensors"),
        (
            {"inputs": RECORD["inputs"] | {"init": "i"}},
            {},
            "a: made from 'init', which the study does not give it",
        ),
        ({}, {"encoder": (WEIGHTS, lambda: "x")}, "a: made from another model.safetensors than lies there now"),
        ({"inputs": {"train": "x", "encoder": "e"}}, {}, "train.tsv: not the table that a was made from"),
    ],
)
def test_what_a_record_says_otherwise_is_a_line(record, inputs, line):
    assert compared(("a", record, inputs)) == [line]


def test_what_cannot_be_read_is_not_compared():
    assert compared(("a", {}, {"train": (TRAIN, None), "encoder": (WEIGHTS, lambda: None)})) == []


def test_a_table_that_nothing_was_made_from_is_wrong_itself_and_else_what_was_made_from_another():
    other = {"inputs": RECORD["inputs"] | {"train": "x"}}
    assert compared(("a", other, {}), ("b", other, {})) == ["train.tsv: not the table that a and 1 more were made from"]
    assert compared(("a", other, {}), ("b", {}, {})) == ["a: made from another train.tsv than lies there now"]
