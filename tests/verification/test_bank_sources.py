"""Banks whose sources are not the training images."""

import pytest
from tests.ssl.conftest import pictures, write_bank  # noqa: F401

from gensis.verification.bank import check_sources
from gensis.verification.findings import Findings


@pytest.mark.parametrize(
    ("sources", "partners", "is_wrong"),
    [([0, 23], [23, 0], False), ([0, 24], [1, 1], True), ([0, 1], [24, 2], True), ([0, 1], [2, 1], True)],
)
def test_sources_that_are_not_training_images_are_reported(tmp_path, pictures, sources, partners, is_wrong):  # noqa: F811
    write_bank(tmp_path, pictures[:2], sources, partners, [0.5, 0.5], "interpolated")
    findings = Findings()
    check_sources(tmp_path / "interpolated-0000.h5", 24, findings)
    assert [("among the 24 training images" in line) for line in findings.lines()] == [True] * is_wrong
