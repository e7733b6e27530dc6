#!/bin/sh
# Kill every stage of a tiny study in every way, repeat the command, and compare with an undisturbed run: at most an hour.
# Prints a table. Arguments are passed on: `tests/faults/run.sh --seed 1 --moments 10 --stages generate_bank`.
cd "$(dirname "$0")/../.." || exit 1
exec timeout --signal=INT --kill-after=60 3600 .venv/bin/python tests/faults/kill_stages.py "$@"
