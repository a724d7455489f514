# `make` lists the targets. Everything they need is set up in .venv, without root; DATABASE_URL, REDIS_URL and the other
# variables of docs/settings.md are passed on from the environment.

PYTHON ?= python3
ARGS ?=
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) .ci/tools/pip-26.3-py3-none-any.whl/pip --disable-pip-version-check --no-input --quiet
INSTALL := $(PIP) install --require-hashes --only-binary :all: -r

# The whole suite runs in parallel and measures `core`; with ARGS, only what they name. Pub/sub is not separated by
# database number, so that processes cannot share the one server of REDIS_URL.
PYTEST := $(PY) -m pytest
# Twice as many workers as there are cores (two, where it was measured): many tests wait for servers or browsers.
WORKERS := $(if $(REDIS_URL),,-n 4 --dist loadfile)
# The measuring slows down what it does not even measure, so that the tests of `core` run apart from all others.
CORE := engagement/core prizes/core tests/engagement/core tests/prizes/core
OTHERS := tests prizes/evidence --ignore tests/engagement/core --ignore tests/prizes/core

.DEFAULT_GOAL := help
.PHONY: help show test test-postgres bench bench-deps bench-draw soak lint lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

show: $(VENV)/runtime ## a whole gala night on this machine; ARGS="--once --json out.json" and others, see ARGS=--help
	@$(PY) manage.py show $(ARGS)

test: $(VENV)/dev ## the whole test suite; ARGS="tests/gala -k embedded" for a part
ifeq ($(strip $(ARGS)),)
	@$(PYTEST) $(WORKERS) -q --cov --cov-report=term-missing:skip-covered $(CORE)
	@$(PYTEST) $(WORKERS) -m "not postgres" $(OTHERS)
else
	@$(PYTEST) $(ARGS)
endif

test-postgres: $(VENV)/dev ## the same suite on a PostgreSQL of its own; ARGS as for test
	@$(PY) -m tests.postgres $(PYTEST) $(if $(strip $(ARGS)),$(ARGS),$(WORKERS))

bench: $(VENV)/dev ## the gateway against what one would take instead; ARGS="--only fanout --json FILE" for a part
	@$(PY) -m tests.bench.gateway $(ARGS)

bench-deps: ## what those others need, from Debian (as root) and npm
	@tests/bench/contenders/install.sh

soak: $(VENV)/dev ## 10,000 phones at one gateway for 10 minutes, nothing may grow; ARGS="--minutes 2 --phones 500" for less
	@$(PY) -m tests.bench.soak $(ARGS)

bench-draw: $(VENV)/dev ## freeze, draw and check 35 million entries; ARGS="--entries 1000000 --json FILE" for fewer
	@$(PY) -m tests.bench.draw $(ARGS)

lint: $(VENV)/dev ## format, lint, types and import rules
	@$(VENV)/bin/ruff format --check --quiet . || { echo "Not formatted as ruff wants it; run: $(VENV)/bin/ruff format ."; exit 1; }
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy --no-error-summary
	@PYTHONPATH=. $(VENV)/bin/lint-imports --no-logo > $(VENV)/imports.log 2>&1 || { cat $(VENV)/imports.log; exit 1; }
	@echo "Lint: nothing to complain about."

lock: $(VENV)/dev ## compile requirements*.in into requirements*.txt, exact and with hashes
	@for name in requirements requirements-dev requirements-s3; do $(VENV)/bin/uv pip compile --quiet --no-config --universal \
	  --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  $$name.in -o $$name.txt || exit 1; done
	@! grep -nE '://|--(extra-)?index|--find-links' requirements.txt requirements-dev.txt requirements-s3.txt

clean: ## remove what make has made: .venv, caches, the data directory var/
	rm -rf $(VENV) var tests/bench/contenders/node/node_modules .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/runtime: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer is needed, '$(PYTHON)' is $$($(PYTHON) --version 2>&1); say which: make PYTHON=/path/to/python3"; exit 2; }
	@echo "Setting up $(VENV) (about a minute) ..."
	@rm -rf $(VENV)
	@$(PYTHON) -m venv --without-pip $(VENV)
	@$(INSTALL) requirements.txt
	@touch $@

$(VENV)/dev: $(VENV)/runtime requirements-dev.txt
	@echo "Adding the tools for tests and lint to $(VENV) ..."
	@$(INSTALL) requirements-dev.txt
	@touch $@
