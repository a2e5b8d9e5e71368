# `make demo` shows what daskflow does, `make check` is what has to pass before a commit.
# Everything is installed into .venv; nothing outside this directory is touched.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input

ifndef PYTHON
PYTHON := $(shell python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo python3 || echo python3.11)
endif

# Most tests wait for something. Each of the two starts services of its own, so that more would rather want memory.
TWO := --numprocesses=2 --dist=loadfile

.PHONY: help demo slurm-demo test check format bench clean

help:
	@echo "make demo         a small workflow, its figures and its report"
	@echo "make slurm-demo   the same on a Slurm of this machine that is gone afterwards"
	@echo "make test         all tests"
	@echo "make check        format, lint, types, floors, tests"
	@echo "make format       put the code in form"
	@echo "make bench        the benchmarks"
	@echo "make clean        remove what was built, .venv too"

demo: $(VENV)/.examples.installed
	@$(BIN)/daskflow demo

slurm-demo: $(VENV)/.examples.installed
	@$(BIN)/python -m tests.services.demo

test: $(VENV)/.dev.installed
	@$(BIN)/python -m pytest $(TWO) $(PYTEST_ARGS)

check: $(VENV)/.dev.installed
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest $(TWO) $(PYTEST_ARGS)

format: $(VENV)/.dev.installed
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

bench: $(VENV)/.dev.installed
	@$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per set of extras: what is installed is installed again only when pyproject.toml changes.
$(VENV)/.%.installed: pyproject.toml | $(BIN)/python
	@echo "installing daskflow[$*] into $(VENV) ..."
	@$(PIP) install --editable '.[$*]'
	@touch $@

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
		echo "$(PYTHON) is not there: daskflow needs Python 3.11 or newer (make PYTHON=/path/to/python)." >&2; \
		exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is too old: daskflow needs Python 3.11 or newer (make PYTHON=/path/to/python)." >&2; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: install python3-venv" >&2; \
		echo "(on Debian and Ubuntu: apt-get install python3-venv), then run make again." >&2; \
		exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
