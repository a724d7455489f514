# `make` lists the targets. Everything they need is set up in .venv, without root; DATABASE_URL, REDIS_URL and the other
# variables of docs/settings.md are passed on from the environment.

PYTHON ?= python3
ARGS ?=
# Another Python's part of the suite has an environment of its own.
VENV := $(if $(filter test-python,$(MAKECMDGOALS)),.venv-python,.venv)
PY := $(VENV)/bin/python
# The Pythons that every pinned package has wheels for.
OLDEST := 3.11
NEWEST := 3.14
PIP := $(PY) .ci/tools/pip-26.3-py3-none-any.whl/pip --disable-pip-version-check --no-input --quiet
INSTALL := $(PIP) install --require-hashes --only-binary :all: -r

# The whole suite runs in parallel and measures `core`; with ARGS, only what they name. Where PostgreSQL is installed,
# all of it runs there, and on SQLite what is marked so; the nights always play on SQLite. Tests empty their server, so
# that processes cannot share the one server of REDIS_URL.
# Compiled modules are kept, whatever the environment says: without them each test worker compiles hundreds of files
# anew, and so does each process of a night.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(PY) -m pytest
# What failed beside others runs once more, alone.
STEADY := $(PY) -m tests.steady
# One worker more than there are cores (two, where it was measured): many tests wait for servers or browsers. With more,
# the nights in real processes get too little of the processor to end in time. Files go in the order of their folders,
# so that the short ones come last: those with the fewest tests are whole nights, which one worker would end alone.
WORKERS := $(if $(REDIS_URL),,-n 3 --dist loadfile --no-loadscope-reorder)
# The measuring slows down what it does not even measure, so that the tests of `core` run apart from all others.
CORE := $(shell find engagement prizes tests -type d -name core)
OTHERS := tests prizes/evidence --ignore tests/bench $(patsubst %,--ignore %,$(filter tests/%,$(CORE)))
# What a new Python can break: cryptography, sockets, child processes, and all of it together; the protocol on our own
# server, since the others are covered on the oldest.
ON_ANOTHER := $(filter-out tests/%,$(CORE)) tests/prizes/core/test_known_answers.py tests/prizes/test_drand.py \
  tests/engagement/gateway/test_protocol.py tests/engagement/gateway/transport tests/gala/test_processes.py \
  tests/flow/test_gala_night.py::test_a_whole_night_from_make_show_to_ctrl_c \
  -k "not daphne and not (plain and uvicorn)"

# Another Python than that of the environment was asked for: it is set up anew.
ifneq ($(origin PYTHON),file)
$(shell [ ! -x $(PY) ] || [ "$$($(PYTHON) -V 2>&1)" = "$$($(PY) -V 2>&1)" ] || rm -f $(VENV)/runtime)
endif

.DEFAULT_GOAL := help
.PHONY: help show test test-postgres test-nightly test-bench test-coverage test-python bench bench-deps bench-draw \
  bench-logins bench-sybil soak fuzz supply lint lock drawings screenshots texts tokens schema types clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

show: $(VENV)/runtime ## a whole gala night on this machine; ARGS="--once --json out.json" and others, see ARGS=--help
	@$(PY) manage.py show $(ARGS)

test: $(VENV)/dev ## the whole test suite; ARGS="tests/gala -k embedded" for a part
ifeq ($(strip $(ARGS)),)
	@$(PYTEST) $(WORKERS) -q --cov --cov-report=term-missing:skip-covered $(CORE)
	@if [ -n "$$DATABASE_URL" ]; then $(STEADY) $(WORKERS) -m "not nightly" $(OTHERS); \
	elif $(PY) -m tests.postgres; then \
	  $(STEADY) $(WORKERS) -q -m "sqlite and not nightly" $(OTHERS) && \
	  $(PY) -m tests.postgres $(STEADY) $(WORKERS) -m "not nightly" $(OTHERS); \
	else echo "Everything runs on SQLite."; $(STEADY) $(WORKERS) -m "not postgres and not nightly" $(OTHERS); fi
else
	@$(PYTEST) $(ARGS)
endif

test-postgres: $(VENV)/dev ## a part of the suite on a PostgreSQL of its own; ARGS as for test
	@$(PY) -m tests.postgres $(PYTEST) $(if $(strip $(ARGS)),$(ARGS),$(WORKERS) $(OTHERS))

test-nightly: $(VENV)/dev ## the long tests that `make test` leaves out; on PostgreSQL
	@$(PY) -m tests.postgres $(PYTEST) $(WORKERS) -m nightly $(OTHERS)

test-bench: $(VENV)/dev ## the tests of the benchmarks, with the servers that are here; 1,000 winners
	@WINNERS=1000 $(PYTEST) $(WORKERS) tests/bench tests/engagement/gateway/test_budget.py

test-coverage: $(VENV)/dev ## the coverage of everything outside core, at least 90 %; on PostgreSQL
	@$(PY) -m tests.postgres $(PYTEST) $(WORKERS) -q --cov --cov-config=tests/coverage.toml \
	  --cov-report=term-missing:skip-covered $(OTHERS)

test-python: $(VENV)/dev ## what another Python could break; PYTHON=python3.13
	@$(STEADY) -q -n 2 --dist loadfile $(ON_ANOTHER)

bench: $(VENV)/dev ## the gateway compared with alternatives; ARGS="--only fanout --json FILE" for a part
	@$(PY) -m tests.bench.gateway $(ARGS)

bench-deps: ## install the alternatives, from Debian (as root) and npm
	@tests/bench/contenders/install.sh

soak: $(VENV)/dev ## 10,000 phones for 10 minutes, nothing may grow; ARGS="--minutes 2 --phones 500"
	@$(PY) -m tests.bench.soak $(ARGS)

bench-draw: $(VENV)/dev ## freeze, draw and check 35 million entries; ARGS="--entries 1000000 --json FILE" for fewer
	@$(PY) -m tests.bench.draw $(ARGS)

bench-logins: $(VENV)/dev ## acks of 5,000 phones with and without 64 logins at once; ARGS="--phones 500 --json FILE"
	@$(PY) -m tests.bench.logins $(ARGS)

bench-sybil: $(VENV)/dev ## what a farm of guest passes wins, and what it costs; ARGS="--seeds 40 --json FILE"
	@$(PY) -m tests.bench.sybil $(ARGS)

fuzz: $(VENV)/dev ## 20,000 changed files of a night against the verifier; MUTATIONS=1000 for fewer
	@MUTATIONS=$(or $(MUTATIONS),20000) $(PYTEST) -q -rP -n 2 tests/prizes/test_mutations.py

supply: $(VENV)/dev ## known weaknesses of what we build on, and the list of it (CycloneDX) in var/
	@$(PY) -m tests.supply $(ARGS)

lint: $(VENV)/dev ## format, lint, types and import rules
	@$(VENV)/bin/ruff format --check --quiet . || { \
	  echo "Not formatted as ruff wants it; run: $(VENV)/bin/ruff format ."; exit 1; }
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy --no-error-summary
	@PYTHONPATH=. $(VENV)/bin/lint-imports --no-logo > $(VENV)/imports.log 2>&1 || { cat $(VENV)/imports.log; exit 1; }
	@echo "Lint: nothing to complain about."

lock: $(VENV)/dev ## compile requirements*.in into requirements*.txt, exact and with hashes
	@for name in requirements requirements-dev requirements-s3; do \
	  $(VENV)/bin/uv pip compile --quiet --no-config --universal \
	  --python-version $(OLDEST) --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  $$name.in -o $$name.txt || exit 1; done
	@! grep -nE '://|--(extra-)?index|--find-links' requirements.txt requirements-dev.txt requirements-s3.txt

texts: $(VENV)/dev ## take new texts of the sources into the catalogues, compile these, and tell what they lack
	@$(PY) -m tests.catalogues

screenshots: $(VENV)/dev ## every moment of phone, wall, overlay and host in var/screens; ARGS=--help says of what
	@$(PY) -m tests.screens var/screens $(ARGS)

types: ## write shake-client.d.ts from the comments of the client library, with TypeScript's compiler
	@cd tests/shake_client && npm ci --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund --silent
	@node tests/shake_client/node_modules/typescript/bin/tsc -p tests/shake_client --outDir engagement/static/engagement

tokens: $(VENV)/dev ## write docs/design-tokens.md from the style sheet of colours, type and motion
	@$(PY) -m tests.tokens > docs/design-tokens.md

drawings: $(VENV)/dev ## draw the pictures of the demo show from gala/drawings/*.svg, with Chromium
	@$(PY) -m tests.drawings

schema: $(VENV)/dev ## write docs/wire.schema.json from the classes of the messages
	@$(PY) -m engagement.core.schema > docs/wire.schema.json

clean: ## remove what make has made: .venv, caches, the data directory var/
	rm -rf $(VENV) .venv-python var tests/bench/contenders/node/node_modules \
	  tests/shake_client/node_modules \
	  .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/runtime: requirements.txt
	@$(PYTHON) -c 'import sys; v = "%d.%02d" % sys.version_info[:2]; sys.exit(not "$(OLDEST)" <= v <= "$(NEWEST)")' \
	  2>/dev/null || { \
	  echo "Python $(OLDEST) to $(NEWEST) is needed, '$(PYTHON)' is $$($(PYTHON) --version 2>&1);" \
	  "say which: make PYTHON=/path/to/python3"; exit 2; }
	@echo "Setting up $(VENV) (about a minute) ..."
	@rm -rf $(VENV)
	@$(PYTHON) -m venv --without-pip $(VENV)
	@$(INSTALL) requirements.txt
	@touch $@

$(VENV)/dev: $(VENV)/runtime requirements-dev.txt
	@echo "Adding the tools for tests and lint to $(VENV) ..."
	@$(INSTALL) requirements-dev.txt
	@touch $@
