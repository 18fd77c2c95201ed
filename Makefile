# Begin with `make demo` or `make test`; `make help` has the others. Each sets up what it needs, once.
PYTHON ?= python3
# An environment for each interpreter, so that `make test PYTHON=python3.13` rebuilds nothing of the usual one.
VENV := .venv$(if $(filter-out python3,$(PYTHON)),-$(patsubst python%,%,$(notdir $(PYTHON))))
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RECIPE := PYTHONPATH=build $(BIN)/python -m recipe

.PHONY: demo ui test pure again pauses guest data conformance tasks precision bench serve ray lint types docs package wheels fuzz sanitize hostile soak kills clean help wheel-data conformance-data

demo: guest ## build the guest (once), then run real programs in it
	$(BIN)/cloche demo

test: guest ## the whole test suite; TESTS="tests/host_tools ..." for a part of it
	$(BIN)/python -m pytest -q -n auto --dist worksteal $(TESTS)

again: guest ## the tests that failed last time, one after the other
	$(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none

pauses: guest ## programs paused at every single check
	CLOCHE_PAUSES=1000000 $(BIN)/python -m pytest -q -n auto tests/runtime/real/pausing

guest: $(READY) ## the guest image, from pinned sources
	@$(RECIPE) all

pure: guest ## the runtime's tests without the host in C
	CLOCHE_PURE=1 $(BIN)/python -m pytest -q -n auto --dist worksteal tests/runtime

data: guest ## the data image, numpy, pandas and matplotlib inside: from pinned sources, some twelve minutes the first time
	@$(RECIPE) data

wheel-data: guest ## the data image as a wheel of its own, dist/cloche_data-*.whl
	@$(RECIPE) wheel-data

conformance-data: data ## NumPy's and pandas' own tests in the data image, and expressions there and natively; writes docs/conformance-data.md
	PYTHONPATH=.:src:build $(BIN)/python -m tests.conformance.data

conformance: guest ## CPython's own tests and generated programs in the guest; writes docs/conformance.md
	PYTHONPATH=.:src:build $(BIN)/python -m tests.conformance

tasks: guest ## programs as models write them, with their unit tests, in the guest and in CPython
	PYTHONPATH=.:src:build $(BIN)/python -m tests.conformance.tasks

precision: guest ## each function of math and cmath in the guest against correctly rounded results
	PYTHONPATH=.:src:build $(BIN)/python -m tests.conformance.precision

ui: guest ## a page to work with agents and sessions, with the recorded demo team
	$(BIN)/cloche ui

serve: guest ## a server with two demo tenants, and three lines of curl to try
	$(BIN)/cloche serve --demo

ray: guest ## nodes of the server on a real Ray of two machines, which are processes here, half a minute
	CLOCHE_RAY=1 $(BIN)/python -m pytest -q tests/serve/real/test_ray.py

bench: guest ## what isolation costs here, with ratios
	$(BIN)/cloche bench --bars

lint: $(READY) ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy and pyright, both strict
	$(BIN)/mypy src/cloche src/cloche_guest build/recipe tests
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(READY) ## the documentation as a site in site/; a broken link or reference fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

package: guest ## sdist, the wheel from it, and an import in a clean environment
	$(BIN)/python -m pytest -q -m "network or not network" tests/build/real/test_package.py

wheels: guest ## sdist, the pure wheel, and one for each platform with the host in C, into dist/, and their checks
	$(RECIPE) wheels
	CLOCHE_WHEELS=$(CURDIR)/dist $(BIN)/python -m pytest -q tests/build/real/test_wheels.py

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Cloche needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

fuzz: guest ## ten million forged messages for the host's readers, half an hour; FLAGS="--cases 100000" for fewer
	$(BIN)/python -m tests.hostile.fuzz $(FLAGS)

sanitize: guest ## tests of the host in C under gcc's sanitizers, some minutes; FLAGS="tests/..." for others
	PYTHONPATH=.:src:build $(BIN)/python -m tests.sanitized $(FLAGS)

soak: guest ## a million mixed runs in one process, about half an hour; FLAGS="--runs 20000" for fewer
	$(BIN)/python -m tests.hostile.soak $(FLAGS)

kills: guest ## a thousand processes killed while they save, and losses of power, some ten minutes
	$(BIN)/python -m tests.hostile.kills $(FLAGS)

hostile: guest ## generated worst cases of the host's own work: when their runs end, what memory they take; a quarter of an hour
	$(BIN)/python -m tests.hostile.costs $(FLAGS)

clean: ## remove the environments and the installed image (the build cache stays)
	rm -rf .venv .venv-* dist site runtime/image/*.wasm runtime/image/*.json runtime/image/licenses

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'
