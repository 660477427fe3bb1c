# Everything a developer and CI type. `make` alone lists the targets.
#
# The virtual environment is made when first needed and again when pyproject.toml or constraints.txt
# change. What the machine has not, tools/provision gets: etcd, a browser, Node.js, curl, ...

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.quorate-stamp
PACKAGES := quorate scheduler node_agent gateway tools tests benchmarks examples
CODE := $(patsubst %/,%,$(sort $(dir $(wildcard $(addsuffix /*.py, $(PACKAGES))))))

# The Python of this checkout comes first, also in what it starts; the programs that were fetched
# for it come last.
export PATH := $(CURDIR)/$(BIN):$(PATH):$(CURDIR)/.tools/bin

.DEFAULT_GOAL := help
.PHONY: help setup ready check test test-tls sim fuzz clients demo bench bench-broker amqp-oracle amqp-suites drills showcase image docs ui screenshots protos release-protos format clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' \
	  | while IFS='|' read -r target text; do printf '  make %-14s %s\n' "$$target" "$$text"; done

setup: ready ## Make .venv; get an etcd, the dashboard, and what the tests need
	@python -m tools.provision tests

# What a cluster needs, without what only tests need.
ready: $(STAMP)
	@python -m tools.provision cluster
	@python -m compileall -q -x node_modules $(PACKAGES) # many short processes follow

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) tools/provision/environment.py $(VENV) dev
	@touch $@

check: ready ## Lint, types, architecture contracts, protos
	ruff check $(CODE)
	ruff format --check $(CODE)
	mypy $(CODE)
	lint-imports --no-cache # its cache has missed changes of files
	python -m tools.check_purity
	python -m tools.protos.check
	python -m tools.docs.draw_transitions --check
	python -m tools.prometheus_rule --check
	python -m tools.render_chart --check
	python -m tools.dashboard.build_ui --if-needed --check-size

# Tests wait for processes more than they compute: more workers than cores. Each file stays whole,
# so that its tests share what they started.
WORKERS ?= 3

test: setup ## Run all tests (ARGS="-k failover" narrows them)
	python -m pytest -q --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

# Apart from `test`: the same tests once more. No service may be open in them: tests/support/lock_guard.py.
test-tls: setup ## Run the end-to-end tests with mutual TLS, etcd too, and tokens
	QUORATE_TEST_TLS=1 python -m pytest -q --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder tests/e2e $(ARGS)

# Apart from `test`: the same histories with many more seeds.
SEEDS ?= 200

sim: ready ## Play SEEDS=200 seeded histories of a whole cluster; failures name their seeds
	python -m tests.simulation.seeds --seeds $(SEEDS) $(ARGS)

# Apart from `test`: the same requests, and the boundary values of every field. Takes minutes.
fuzz: setup ## Try the REST API with many more requests made from its OpenAPI document
	QUORATE_TEST_FUZZ=1 python -m pytest -q tests/e2e/test_gateway_schemathesis.py $(ARGS)

# Apart from `test`: it needs the tool chains of other languages.
clients: ready ## Build the clients in other languages, run them while leaders are killed
	@python -m tools.provision clients
	python -m pytest -q examples/clients/tests $(ARGS)

demo: ready ## Start a cluster, kill its leader and a node under work, compare the result
	python examples/demo.py $(ARGS)

bench: setup ## Measure throughput, what TLS costs, latency and failover on this machine
	python -m benchmarks $(ARGS)

bench-broker: setup ## Measure messages beside RabbitMQ's (rabbitmq-server of the system's packages)
	python -m benchmarks broker $(ARGS)

amqp-oracle: setup ## Compare AMQP step by step with RabbitMQ (rabbitmq-server of the system's packages)
	python -m tests.oracle $(ARGS)

# Apart from `test`: it downloads the sources of three clients of RabbitMQ.
amqp-suites: setup ## Run the own tests of kombu, aio-pika and pika against a broker that it starts
	python -m tests.amqp_suites $(ARGS)

drills: ready ## Kill and stop leaders, nodes and etcd under load, many times; print the figures
	python -m benchmarks.drills $(ARGS)

showcase: ready ## Start a busy cluster, make eleven faults in it; print who says so, and when
	python -m tools.showcase $(ARGS)

# Apart from `test`: it needs root on Debian, and installs buildah and debootstrap.
image: ready ## Build the container image without an image registry, run the demo in it
	@python -m tools.provision image
	python -m tools.image $(ARGS)

docs: ready ## Build the documentation site into build/site
	@$(BIN)/python tools/provision/environment.py $(VENV) docs
	python -m tools.docs.build

ui: $(STAMP) ## Build the dashboard
	python -m tools.dashboard.build_ui --check-size

screenshots: setup ## Take pictures of every view of the dashboard into docs/screenshots
	python -m tools.dashboard.screenshots $(ARGS)

protos: $(STAMP) ## Regenerate the stubs from protos/
	python -m tools.protos.generate

release-protos: $(STAMP) ## Write down the protos of the version in pyproject.toml: later ones keep to them
	python -m tools.protos.release

format: $(STAMP) ## Format and fix what ruff can
	ruff check --fix $(CODE)
	ruff format $(CODE)

clean: ## Remove caches and build output (not .venv, not .etcd)
	rm -rf build dist gateway/_ui .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
