# make demo  writes report.html; make test  runs everything. Both make their own virtual environment and can be run twice.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
# beside pip a tenth of the time: it builds the packages side by side
UV := $(BIN)/uv pip install --quiet --constraint constraints.txt --python
DECLARED := pyproject.toml constraints.txt tools/packages.toml
PLUGINS = $(shell $(PYTHON) tools/packages.py --editable)
# each worker computes on one thread, so that workers do not wait for each other's
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=worksteal
OLDER := $(VENV)/transformers-4
# what of the core meets a model or a tokenizer
MEETING := architectures attempts company concepts_of_every_head evaluate generation half_precision heads hooks importance internals \
	intervention lighting loading own_models own_state slow_tokenizers split state stream tasks text threads units wrapped
FIVE := interp-lime interp-integrated-gradients interp-semi-nmf interp-top-inputs interp-insertion-deletion

.PHONY: demo test quick zoo mutants compatibility lint api format packages docs site bench clean

demo: $(VENV)/.demo
	$(BIN)/interp demo --html report.html

# shapes and types are checked in the quick tests, those of the core in its own, which reach all of its code; with the
# checks everything takes twice as long
test: $(VENV)/.test
	$(PYTEST) -m "not slow" tests
	INTERP_TYPES=packages $(PYTEST) -m "not slow" plugins
	INTERP_TYPES=unchecked $(PYTEST) -m slow

# what says most in two minutes of one core
quick: $(VENV)/.test
	$(PYTEST) -m "not slow" tests $(wildcard plugins/*/interp-lime) $(wildcard plugins/*/interp-semi-nmf)

# all small models of all families against plain transformers; writes docs/models.md
zoo: $(VENV)/.test
	cd tests && OMP_NUM_THREADS=1 ../$(BIN)/python -m zoo

# breaks the core on purpose in 300 places, and counts how often the tests notice; about an hour
mutants: $(VENV)/.test
	$(PIP) mutmut
	$(BIN)/python tools/mutants.py

# the core's tests of models and tokenizers, and those of five packages, with the oldest transformers that is supported
compatibility: $(OLDER)/.ready
	INTERP_TYPES=unchecked OMP_NUM_THREADS=1 $(OLDER)/bin/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=worksteal -m "not real and not current" \
		$(MEETING:%=tests/test_%.py) $(foreach name,$(FIVE),$(wildcard plugins/*/$(name)))

lint: $(VENV)/.test api
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/packages.py --check

# what the faces export, held against the last release (or the commit named in tools/api.py, before there is one)
api: $(VENV)/.test
	$(BIN)/python tools/api.py

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# writes what follows from tools/packages.toml: each pyproject.toml, the extras, and the catalogue
packages: $(VENV)/.demo
	$(BIN)/python tools/packages.py --write

# writes docs/methods.md, docs/faces.md and docs/command-line.md
docs: $(VENV)/.demo
	PYTHONPATH=tools $(BIN)/python docs/generate.py

# the documentation site in build/site, opened with build/site/index.html; a warning fails. tests/test_site.py builds it too
site: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# what an explanation costs beside the bare model and beside other libraries, each in an environment of its own; writes
# docs/benchmarks.md. The other programs in benchmarks/ are run by hand
bench: $(VENV)/.test
	$(PIP) matplotlib
	-$(BIN)/python benchmarks/floor.py --write docs/benchmarks.md
	-$(BIN)/python benchmarks/scaling.py --write docs/benchmarks.md
	$(BIN)/python benchmarks/equal_error.py --write docs/benchmarks.md
	$(BIN)/python benchmarks/peers.py --write docs/benchmarks.md

clean:
	rm -rf $(VENV) report.html

# torch first and alone, by pip: elsewhere its pin would be resolved after others have asked for any version of it
$(VENV)/.demo: $(DECLARED)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch flit_core uv
	$(UV) $(BIN)/python --no-build-isolation --editable . $(PLUGINS)
	touch $@

$(VENV)/.test: $(VENV)/.demo tests/requirements.txt
	$(UV) $(BIN)/python --requirement tests/requirements.txt
	touch $@

# a second environment that shares all but transformers and what it needs in its own version
$(OLDER)/.ready: $(VENV)/.test tests/transformers-4.txt
	$(BIN)/python -m venv $(OLDER)
	$(BIN)/python -c "import sysconfig; print('import site; site.addsitedir(%r)' % sysconfig.get_path('purelib'))" \
		> $$($(OLDER)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/shared.pth
	$(BIN)/uv pip install --quiet --python $(OLDER)/bin/python --no-deps --requirement tests/transformers-4.txt
	touch $@
