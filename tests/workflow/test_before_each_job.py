"""What `workflow/scripts/before_each_job.sh` sets for the command of a job."""

import subprocess

import pytest
from tests.workflow.clone import ROOT

SCRIPT = ROOT / "workflow/scripts/before_each_job.sh"


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "unset")],
)
def test_threads_that_wait_soon_give_up_their_core_unless_the_user_decides(given, expected):
    command = ["bash", "-c", f"set -euo pipefail; . '{SCRIPT}'; env"]
    shown = subprocess.run(command, env={"PATH": "/usr/bin:/bin"} | given, capture_output=True, text=True, check=True)
    found = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
    assert found.get("GOMP_SPINCOUNT", "unset") == expected
