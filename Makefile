# The single entry point. `make demo` and `make test` need nothing but Python, make and git.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# What is installed depends on these files alone, so a second run installs nothing.
PINS := pyproject.toml constraints.txt
FOREIGN := $(addprefix examples/instrumented/,papis/requirements.txt pip/requirements.txt vdirsyncer/requirements.txt)
# Hundreds of the tests' programs load the package: it is compiled once, whatever the surroundings say.
unexport PYTHONDONTWRITEBYTECODE
# What the benchmarks compare with stands apart: it may want other versions of what we use.
PEERS := .venv-bench

# Which components the Collector gets.
MANIFEST := collector-config/builder.yaml

.PHONY: help demo test check bench docs e2e otelcol format clean

help: ## show this list
	@grep -E '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/.made:
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade "$$(grep '^pip==' constraints.txt)"
	@touch $@

$(VENV)/.run: $(VENV)/.made $(PINS) $(FOREIGN)
	@echo "installing into $(VENV) (once)" >&2
	@$(PIP) install --constraint constraints.txt --editable '.[all]' $(addprefix --requirement ,$(FOREIGN))
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@$(PIP) install --constraint constraints.txt --group dev
	@touch $@

$(VENV)/.e2e: $(VENV)/.dev
	@$(PIP) install --constraint constraints.txt --group e2e
	@touch $@

demo: $(VENV)/.run ## run two real tools over real folders, then show what was recorded
	@$(BIN)/python examples/demo.py

test: $(VENV)/.dev ## run the tests, in random order, on every core and one more process, for many of them wait
	@$(BIN)/python -m pytest -n $$($(BIN)/python -c "import os; print((os.cpu_count() or 1) + 1)") -m "not e2e"

check: $(VENV)/.dev ## lint, types, layers, and whether the documentation is in step with the code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -n 0 tests/test_layers.py
	@$(BIN)/python tools/docs_drift.py --check
	@$(BIN)/python tools/collector_allow_list.py --check

otelcol: ## build our OpenTelemetry Collector (once, needs Go) and print where it is
	@$(PYTHON) tools/build_otelcol.py --manifest $(MANIFEST)

e2e: $(VENV)/.e2e otelcol ## run what needs more than Python (the sqlite3 shell, Collectors, Node), and the longest tests
	@$(BIN)/python -m pytest -n $$($(BIN)/python -c "import os; print(os.cpu_count() or 1)") -m e2e

$(PEERS)/.made: benchmarks/requirements.txt
	@echo "installing into $(PEERS) (once)" >&2
	@$(PYTHON) -m venv $(PEERS) && echo '*' > $(PEERS)/.gitignore
	@$(PEERS)/bin/python -m pip --quiet --disable-pip-version-check install --requirement $<
	@touch $@

bench: $(VENV)/.dev $(PEERS)/.made ## measure, and print one table; ROWS="P1 P2" measures these
	@$(BIN)/python benchmarks/run.py $(ROWS)

docs: $(VENV)/.dev ## build the documentation into site/
	@$(BIN)/python tools/docs_drift.py
	@set -o pipefail; NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict 2>&1 | { grep -v '^INFO' || true; }
	@echo "site/index.html"

format: $(VENV)/.dev ## put the code into the one format
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

clean: ## remove what these targets made
	@rm -rf $(VENV) $(PEERS) site build dist .mypy_cache .ruff_cache .pytest_cache .demo
