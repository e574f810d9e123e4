# make demo: the quickstart, from nothing. make test: everything that is tested. Both set up their own environment.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
RECIPE ?= recipes/quickstart.yaml
# One process a core, but a whole training to itself: each process computes with one thread.
JOBS ?= auto

.PHONY: help setup demo test test-kill test-fuzz bench lint types clean

help: ## show what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "xaitool needs Python 3.11 or newer; make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --editable . --group dev
	touch $@

setup: $(VENV)/.ready ## make the environment in .venv and install xaitool into it

demo: setup ## train, explain and report: the quickstart, without a network
	$(BIN)/xaitool run $(RECIPE)

test: setup ## run the tests
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

test-kill: setup ## kill a run twenty times, and see that it ends as one that never was
	XAITOOL_TEST_KILLS=20 $(BIN)/python -m pytest -q tests/engine/test_kills.py

test-fuzz: setup ## change recipes at random ten thousand times, and see that none gives a traceback
	XAITOOL_TEST_FUZZ=10000 $(BIN)/python -m pytest -q -n $(JOBS) tests/recipe/test_fuzz.py

bench: setup ## what explaining, judging, training, loading and starting cost, against plain PyTorch and peers
	KINETO_LOG_LEVEL=5 $(BIN)/python tests/benchmarks/explaining.py
	$(BIN)/python tests/benchmarks/judging.py
	$(BIN)/python tests/benchmarks/training.py
	$(BIN)/python tests/benchmarks/memory.py
	$(BIN)/python tests/benchmarks/loading.py
	$(BIN)/python tests/benchmarks/starting.py

lint: setup ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy
	$(BIN)/mypy

clean: ## take the environment and all caches away
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
