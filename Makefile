# The two commands of the README are `make lab` and `make test`. Each target does all of its own
# set-up: it makes the virtual environment as the calling user and runs as root only what needs it.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.complete
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=PATH,VPP_PREFIX,CI)
PYTEST  := $(BIN)/python -m pytest -p no:cacheprovider
ARGS ?=
FRAMES ?= 20000
VPP_PREFIX ?= $(firstword $(wildcard /opt/vpp) /usr)

export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-17s %s\n", $$1, $$2}'

.PHONY: lab
lab: build ## Nodes attach, move and stay reachable: make lab ARGS="--json"
	@$(AS_ROOT) $(BIN)/mag lab $(ARGS)

.PHONY: test
test: build install-test-dep ## All tests; those with namespaces need root
	@$(AS_ROOT) $(PYTEST) $(ARGS)

.PHONY: test-fast
test-fast: build ## Tests that need no root, in about a minute
	@$(PYTEST) -m "not netns and not vpp" $(ARGS)

.PHONY: test-netns
test-netns: build install-test-dep ## Tests in network namespaces only
	@$(AS_ROOT) $(PYTEST) -m netns $(ARGS)

.PHONY: test-vpp
test-vpp: build install-test-dep plugin ## Tests on VPP: plugin, contract suite, lab
	@$(AS_ROOT) $(PYTEST) -m vpp $(ARGS)

.PHONY: plugin
plugin: ## Build the VPP plugin against an installed VPP (VPP_PREFIX) into build/plugin
	@VPP_PREFIX=$(VPP_PREFIX) scripts/build-plugin

.PHONY: plugin-debug
plugin-debug: ## The plugin with assertions, into build/plugin-debug
	@VPP_PREFIX=$(VPP_PREFIX) BUILD_TYPE=Debug FOLDER=build/plugin-debug scripts/build-plugin

.PHONY: test-plugin-debug
test-plugin-debug: build install-test-dep plugin-debug ## The plugin's tests with assertions: make test-plugin-debug FRAMES=10000000 ARGS="-k mutated"
	@$(AS_ROOT) env MAG_VPP_PLUGIN_PATH=$(CURDIR)/build/plugin-debug/lib/vpp_plugins MAG_MUTATED_FRAMES=$(FRAMES) \
	  $(PYTEST) tests/vpp/plugin $(ARGS)

.PHONY: bench
bench: build ## What the agent costs: make bench ARGS="--parts codec,attach"
	@$(AS_ROOT) env PYTHONPATH=agent:tests $(BIN)/python -m perf.control_plane $(ARGS)

.PHONY: fuzz-plugin
fuzz-plugin: ## The plugin's packet reading under clang's sanitizers, 60 s: make fuzz-plugin ARGS="SECONDS SEED"
	@VPP_PREFIX=$(VPP_PREFIX) scripts/fuzz-plugin $(ARGS)

.PHONY: bench-dataplane
bench-dataplane: build plugin ## Clocks per packet on VPP: make bench-dataplane ARGS="--bindings 1,1000 --json"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[perf]" >&2
	@$(AS_ROOT) env PYTHONPATH=agent $(BIN)/python -m perf.dataplane $(ARGS)

.PHONY: bench-agent
bench-agent: build plugin ## The agent on VPP, seen from outside: make bench-agent ARGS="--parts restore"
	@$(AS_ROOT) env PYTHONPATH=agent:tests $(BIN)/python -m perf.agent_on_vpp $(ARGS)

.PHONY: bench-restart
bench-restart: build ## A restart with 100,000 bindings: make bench-restart ARGS="--parts storm,kernel"
	@$(AS_ROOT) env PYTHONPATH=agent:tests $(BIN)/python -m perf.restart $(ARGS)

.PHONY: build
build: $(STAMP) ## Make the virtual environment with everything pinned

# The stamp comes last: an interrupted or failed set-up is never taken for a finished one.
$(STAMP): pyproject.toml constraints.txt scripts/install-dep
	@PYTHON=$(PYTHON) scripts/install-dep runtime >&2
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[lab,dev]" >&2
	@touch $@

.PHONY: install-dep
install-dep: ## Install the Debian packages that running needs
	@PYTHON=$(PYTHON) scripts/install-dep runtime

.PHONY: install-test-dep
install-test-dep: ## Install the Debian packages that the tests need beside
	@scripts/install-dep test >&2

.PHONY: run
run: build ## Run a gateway: make run ARGS=configs/mag.yaml
	@$(AS_ROOT) $(BIN)/mag run $(ARGS)

.PHONY: lint
lint: build ## Style and spelling
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/codespell

.PHONY: fix
fix: build ## Repair what ruff can repair
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: types
types: build ## mypy --strict on agent/
	@$(BIN)/mypy --cache-dir=/dev/null

.PHONY: arch
arch: build ## The import contract: layers point one way
	@PYTHONPATH=agent $(BIN)/lint-imports --no-cache

.PHONY: conformance
conformance: build install-test-dep ## Requirements against the tests that show them
	@$(BIN)/python scripts/conformance >/dev/null
	@$(AS_ROOT) $(PYTEST) -q --junitxml=build/conformance.xml $(ARGS)
	@$(BIN)/python scripts/conformance --results build/conformance.xml

.PHONY: mutants
mutants: build ## Break one rule at a time; its tests must notice: make mutants ARGS="PBA RTX-06"
	@$(BIN)/python scripts/mutants $(ARGS)

.PHONY: kills
kills: build ## The gateway killed at 200 random points of a model: make kills ARGS="--kills 50 --seed 7"
	@PYTHONPATH=agent:tests $(BIN)/python -m kills $(ARGS)

.PHONY: fuzz
fuzz: build ## Octets that break the codec: make fuzz ARGS="-max_total_time=600"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[fuzz]" >&2
	@for target in mobility_header neighbor_discovery; do
	  PYTHONPATH=agent:tests $(BIN)/python -m fuzz $$target -max_total_time=60 -print_final_stats=1 $(ARGS)
	done

.PHONY: docs
docs: build ## Redraw the pages that come from the code
	@$(BIN)/python scripts/draw-state-machine > docs/state-machine.md
	@$(BIN)/python scripts/draw-reload-table > docs/reload.md
	@$(BIN)/python scripts/conformance >/dev/null

.PHONY: ci
ci: lint types arch test fuzz ## What .ci/run calls

.PHONY: clean
clean: ## Remove what was built
	@rm -rf $(VENV) build dist
