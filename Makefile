# make demo  writes report.html; make test  runs everything. Both make their own virtual environment and can be run twice.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DECLARED := pyproject.toml constraints.txt tools/packages.toml
PLUGINS = $(shell $(PYTHON) tools/packages.py --editable)

.PHONY: demo test lint format docs bench clean packages quick

demo: $(VENV)/.demo
	$(BIN)/interp demo --html report.html

# each worker computes on one thread, so that workers do not wait for each other's
test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=worksteal

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# writes what follows from tools/packages.toml: each pyproject.toml, the extras, the catalogue
packages: $(VENV)/.demo
	$(BIN)/python tools/packages.py --write

docs: $(VENV)/.demo
	PYTHONPATH=tools $(BIN)/python docs/generate.py

bench: $(VENV)/.test
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) report.html

# torch first and alone: elsewhere its pin would be resolved after others have asked for any version of it
$(VENV)/.demo: $(DECLARED)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch flit_core
	$(PIP) --no-build-isolation --editable . $(PLUGINS)
	touch $@

$(VENV)/.test: $(VENV)/.demo tests/requirements.txt
	$(PIP) --requirement tests/requirements.txt
	touch $@
