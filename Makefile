# Everything a developer and CI type. `make` alone lists the targets.
#
# The virtual environment and etcd are made when first needed and again when pyproject.toml or
# constraints.txt change.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.quorate-stamp
PACKAGES := quorate scheduler node_agent gateway tools tests benchmarks examples
CODE := $(patsubst %/,%,$(sort $(dir $(wildcard $(addsuffix /*.py, $(PACKAGES))))))

# The tools of this checkout come first, also in what they start.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup check test test-tls clients demo bench drills docs ui screenshots protos release-protos format clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' \
	  | while IFS='|' read -r target text; do printf '  make %-14s %s\n' "$$target" "$$text"; done

setup: $(STAMP) ## Make .venv, install the package, make sure of an etcd and the dashboard
	@$(BIN)/python -m quorate.etcd.binary
	@$(BIN)/python -m tools.build_ui --if-needed
	@$(BIN)/python -m compileall -q -x node_modules $(PACKAGES) # many short processes follow

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing quorate and its tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[dev]'
	@touch $@

check: setup ## Lint, types, architecture contracts, protos
	ruff check $(CODE)
	ruff format --check $(CODE)
	mypy $(CODE)
	lint-imports
	python -m tools.check_purity
	python -m tools.check_protos
	python -m tools.draw_transitions --check
	python -m tools.build_ui --if-needed --check-size

# Tests wait for processes more than they compute: more workers than cores. Each file stays whole,
# so that its tests share what they started.
WORKERS ?= 3

test: setup ## Run all tests (ARGS="-k failover" narrows them)
	python -m pytest -q --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

# Apart from `test`: the same tests once more. No service may be open in them: tests/support/lock_guard.py.
test-tls: setup ## Run the end-to-end tests with mutual TLS, etcd too, and tokens
	QUORATE_TEST_TLS=1 python -m pytest -q --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder tests/e2e $(ARGS)

# Apart from `test`: it needs the tool chains of other languages.
clients: setup ## Build the clients in other languages, run them while leaders are killed
	python -m pytest -q examples/clients/tests $(ARGS)

demo: setup ## Start a cluster, kill its leader and a node under work, compare the result
	python examples/demo.py $(ARGS)

bench: setup ## Measure throughput, what TLS costs, latency and failover on this machine
	python -m benchmarks $(ARGS)

drills: setup ## Kill and stop leaders, nodes and etcd under load, many times; print the figures
	python -m benchmarks.drills $(ARGS)

docs: setup ## Build the documentation site into build/site
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[docs]'
	python -m tools.build_docs

ui: $(STAMP) ## Build the dashboard
	python -m tools.build_ui --check-size

screenshots: setup ## Take pictures of every view of the dashboard into docs/screenshots
	python -m tools.screenshots $(ARGS)

protos: $(STAMP) ## Regenerate the stubs from protos/
	python -m tools.generate_protos

release-protos: $(STAMP) ## Write down the protos of the version in pyproject.toml: later ones keep to them
	python -m tools.release_protos

format: $(STAMP) ## Format and fix what ruff can
	ruff check --fix $(CODE)
	ruff format $(CODE)

clean: ## Remove caches and build output (not .venv, not .etcd)
	rm -rf build dist gateway/_ui .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
