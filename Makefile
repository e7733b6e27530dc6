# Short names for the two commands of the README. With another Python: make test PYTHON=python3.12
PYTHON ?= python3

.PHONY: demo test

demo:
	$(PYTHON) bootstrap.py demo

test:
	$(PYTHON) bootstrap.py test
