# The two commands of the README under shorter names. Another Python: make test PYTHON=python3.12
PYTHON ?= python3

.PHONY: demo test

demo:
	$(PYTHON) bootstrap.py demo

test:
	$(PYTHON) bootstrap.py test
