# Needs only Python 3.11 and make: everything else is installed into .venv from hash-locked lists.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3.11
ifeq (, $(shell command -v $(PYTHON) 2>/dev/null))
PYTHON := python3
endif
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PROTOS := $(shell find proto -name '*.proto')
API_PROTOS := $(shell find proto/strongroom/api -name '*.proto')
# Daemons and commands start twice as fast from compiled files; they lie in __pycache__, which git ignores.
export PYTHONDONTWRITEBYTECODE :=
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.PHONY: help setup demo test test-fast adversary mutants model fuzz soak check fmt lint types imports proto proto-check \
	closure lock bench clean

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install everything a developer needs into .venv

$(STAMP): pyproject.toml requirements/dev.lock
	@echo "Setting up $(VENV) (once; well under a minute on a usual line)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11) and "Strongroom needs Python 3.11 or newer")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## watch the main job: three signers, two approvals, a confirmed withdrawal, a cheating coordinator refused
	@$(BIN)/strongroom demo --cheater tests/adversary/cheating_coordinator.py

test: setup ## all tests: vectors, properties, real daemons, a slice of the attacks (under 15 minutes on two cores)
	$(BIN)/python -m pytest -q -m "not campaign" --numprocesses 2 --dist loadfile

test-fast: setup ## tests without processes, about a minute
	$(BIN)/python -m pytest -q -m "not process and not slow and not campaign" --numprocesses 2 --dist loadfile

adversary: setup ## attack every line of the promise and kill the daemons at every crash point; prints what held
	@# Three workers on two cores: most of the time a test waits for something.
	$(BIN)/python -m pytest -q -m "attack or crash_point" --promise --promise-floor 600,90 --numprocesses 3 --dist loadfile

mutants: setup ## take out each single check of the signer's rule and the rules engine: does a test notice?
	$(BIN)/python tests/mutants/run.py

model: setup ## search every case of the models of terms and handovers to its end; writes docs/protocol/model.md
	$(BIN)/python tests/support/term_cases.py --write
	$(BIN)/python -m pytest -q tests/property/protocol/test_handover_model.py tests/property/signer/test_release_machine.py

SECONDS_EACH ?= 30
fuzz: setup ## fuzz every parser of bytes from outside, SECONDS_EACH=30 for each target
	$(BIN)/python tests/fuzz/run.py --seconds $(SECONDS_EACH)

MINUTES ?= 10
soak: setup ## MINUTES=10 of payments on a bad network with dying daemons
	$(BIN)/python tests/adversary/soak.py --minutes $(MINUTES)

check: lint types imports proto-check ## everything but the tests: style, types, import contracts, generated code

fmt: setup ## format the code
	$(BIN)/ruff format . && $(BIN)/ruff check --fix --quiet .

lint: setup ## style
	$(BIN)/ruff format --check . && $(BIN)/ruff check .
	$(BIN)/buf lint proto && $(BIN)/buf format proto --diff --exit-code

types: setup ## mypy, strict
	$(BIN)/mypy core/strongroom coordinator/strongroom_coordinator signer/strongroom_signer \
		client/strongroom_client deploy/regtest/strongroom_regtest

imports: setup ## who may import whom
	$(BIN)/lint-imports

proto: setup ## generate the gRPC stubs from proto/ into core/
	$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=core --pyi_out=core --grpc_python_out=core $(API_PROTOS)

proto-check: setup ## fail when the committed stubs differ from what proto/ gives
	@rm -rf .proto-check && mkdir .proto-check
	@$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=.proto-check --pyi_out=.proto-check --grpc_python_out=.proto-check $(API_PROTOS)
	@diff -r -x __init__.py -x __pycache__ .proto-check/strongroom/api core/strongroom/api \
		&& rm -rf .proto-check || { echo "The stubs are stale: run 'make proto' and commit."; rm -rf .proto-check; exit 1; }

closure: setup ## install the signer's dependencies alone and start it
	$(BIN)/python -m pytest -q tests/integration/test_signer_closure.py

lock: ## resolve the dependencies anew and write the locks with hashes
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv; }
	@mkdir -p requirements
	$(LOCK) --output-file requirements/signer.lock
	$(LOCK) --extra coordinator --output-file requirements/coordinator.lock
	$(LOCK) --extra client --output-file requirements/client.lock
	$(LOCK) --extra pkcs11 --output-file requirements/signer-pkcs11.lock
	$(LOCK) --extra coordinator --extra client --extra regtest --extra pkcs11 --group dev --output-file requirements/dev.lock
	$(subst pyproject.toml,--group build --constraint requirements/dev.lock,$(LOCK)) --output-file requirements/build.lock

bench: setup ## measure latency, throughput, replay and key generation; prints a table, writes bench-results.json
	$(BIN)/python tests/bench/main.py --out bench-results.json

clean: ## remove everything that was made here, the virtual environment included
	rm -rf $(VENV) build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .proto-check
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
