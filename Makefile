# Everything a fresh machine needs is installed by `make setup`, which the other targets call; a second run skips it.

SHELL := /bin/sh
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready
AUDIT := .venv-audit/.ready
WORKERS ?= --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
ARGS ?=

.PHONY: help setup lint test test-long demo gas bench bench-core bench-matching bench-queries slither halmos coverage mutants lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

setup: $(READY)  ## virtual environment, npm packages, anvil, solc

$(READY): requirements.lock package-lock.json pyproject.toml scripts/_setup/toolchain.py scripts/_setup/solc.js
	@test -n "$(PYTHON)" || { echo "setup: Python 3.11 or 3.12 is needed"; exit 1; }
	@command -v npm >/dev/null || { echo "setup: Node >= 20 with npm is needed"; exit 1; }
	@node -e 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)' || { echo "setup: Node >= 20 is needed"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	npm ci --no-fund --no-audit --loglevel=error
	$(BIN)/python scripts/_setup/toolchain.py
	@touch $@

$(AUDIT): requirements-audit.lock $(READY)
	$(BIN)/python -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-audit.lock
	@touch $@

lint: $(READY)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint  ## lint and all tests
	. $(BIN)/activate && ape compile && ape test $(WORKERS) $(ARGS)

test-long: $(READY)  ## the randomised tests with many more examples
	. $(BIN)/activate && HYPOTHESIS_PROFILE=long ape test tests/unit tests/stateful tests/functional/test_differential.py $(ARGS)

demo: $(READY)  ## a running exchange on a local chain; ARGS="--batches 3 --min-fills 500 --kill-once" ends by itself, "--orders FILE.jsonl" replays
	@. $(BIN)/activate && ape run demo $(ARGS)

gas: $(READY)  ## gas per fill and per action, beside the floor of the EVM's prices; ARGS="--json", "--trace", "--quick"
	@. $(BIN)/activate && python benchmarks/gas.py $(ARGS)

bench: $(READY)  ## orders to fills through the whole service, beside a plain stack; about five minutes
	@. $(BIN)/activate && python benchmarks/order_to_fill.py $(ARGS)

bench-core: $(READY)  ## the core alone: execute, encode, replay
	@. $(BIN)/activate && python benchmarks/core.py $(ARGS)

bench-matching: $(READY)  ## the order book alone, beside Python packages
	@. $(BIN)/activate && python benchmarks/matching.py $(ARGS)

bench-queries: $(READY)  ## candles, tickers and statistics with a million trades stored
	@. $(BIN)/activate && python benchmarks/queries.py $(ARGS)

slither: $(AUDIT)  ## static analysis of the contracts; fails on a finding without an answer
	$(BIN)/python -m scripts._audit.slither

halmos: $(AUDIT)  ## symbolic checks of share, margin and word arithmetic (tests/symbolic); ARGS="--function check_settle"
	@mkdir -p .build/symbolic
	PATH="$(CURDIR)/scripts/_audit/bin:$$PATH" .venv-audit/bin/halmos --root .build/symbolic --no-status \
		--solver-command .venv-audit/bin/yices-smt2 $(ARGS)

coverage: $(READY)  ## line and branch coverage of the contracts; ARGS="tests/functional/vault" for a part
	. $(BIN)/activate && python -m scripts._audit.coverage $(ARGS)

mutants: $(READY)  ## mutation testing of Engine, Vault and Clearinghouse; goes on where it was stopped
	. $(BIN)/activate && python -m scripts._audit.mutants $(ARGS)

lock:  ## resolve the requirements' lock files again (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header --output-file requirements.lock
	uv pip compile requirements-audit.in --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header --output-file requirements-audit.lock

clean:  ## remove what setup and runs made
	rm -rf .venv .venv-audit .audit node_modules .build .cache data deployments/31337.json deployments/1337.json
