# The two commands that matter: make flywheel, make test. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(firstword $(shell command -v python3.11 python3 python 2>/dev/null))
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.9
# The CPU build of torch: from the folder that PIP_FIND_LINKS names, where it is set; else from its usual index.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
TORCH := $(if $(UV_FIND_LINKS),,--torch-backend cpu)
ENVIRONMENT := $(VENV)/.installed
FLYWHEEL ?= tickets

.PHONY: help flywheel up down serve test install check sbom bench trials results lock clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

flywheel: $(ENVIRONMENT) ## one turn through Airflow, from nothing, and what came of it (FLYWHEEL=tickets)
	@$(BIN)/tao local flywheel $(FLYWHEEL)

up: $(ENVIRONMENT) ## PostgreSQL and Airflow, to stay; prints the address and how to log in
	@$(BIN)/tao local up

down: $(ENVIRONMENT) ## stop what `make up` started
	@$(BIN)/tao local down

serve: $(ENVIRONMENT) ## the champion, for OpenAI clients on http://127.0.0.1:8000/v1 (FLYWHEEL=tickets)
	@$(BIN)/tao serve $(FLYWHEEL)

test: $(ENVIRONMENT) ## all tests, in two processes (PYTEST=… for more options)
	@.ci/install_browser
	@TAO_CACHE=$${TAO_CACHE:-$(CURDIR)/.tao/cache} $(BIN)/python -m pytest -n 2 --no-loadscope-reorder $(PYTEST)

check: $(ENVIRONMENT) ## ruff, mypy, import rules, audit of the locks
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/tao_ops/test_import_rules.py
	@$(BIN)/python -m audit

sbom: $(ENVIRONMENT) ## a bill of materials of each lock, in dist/sbom
	@$(BIN)/python -m audit sbom

bench: $(ENVIRONMENT) ## benchmarks, each figure beside a peer's (ONLY=name for one)
	@$(BIN)/python -m benchmarks $(ONLY)

trials: $(ENVIRONMENT) ## long, seeded, resumable proofs (ONLY=name for one)
	@$(BIN)/python -m trials $(ONLY)

results: $(ENVIRONMENT) ## every figure that the docs quote, made again (ONLY=turns: a part of docs/results.md)
	@PARTS="$(ONLY)" $(BIN)/python -m trials quality $(if $(ONLY),,seeds tuning_budget gate registry ingest_kills real_logs sql_rewards table_rewards checkers example_rewards reward_hole poisoning swaps capture_kills closed_loop soak)
	@test -n "$(ONLY)" || $(BIN)/python -m benchmarks turn ingest redaction exploration generate score update capture page scale orchestration

install: $(ENVIRONMENT) ## the locked environment in .venv

$(ENVIRONMENT): requirements/cpu.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python — install Python 3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v == (3, 11) else f"error: $(PYTHON) is Python {v[0]}.{v[1]}, the locked packages are made for 3.11 — install it, or name it: make PYTHON=/path/to/python3.11")'
	@test "$$(uname -sm)" = "Linux x86_64" || { echo "error: the locked packages are made for Linux on x86-64, this is $$(uname -sm)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "error: $(PYTHON) cannot make an environment — install its venv module (Debian: python3.11-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	@# Compiled here, once: each stage is a process of its own, and would compile all that it imports where none may.
	@echo "installing the locked packages into $(VENV) (about 5 GB)"
	@$(UV) pip sync -q --compile-bytecode --python $(BIN)/python $(TORCH) requirements/cpu.txt requirements/uv.txt
	@$(UV) pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

lock: $(ENVIRONMENT) ## resolve requirements/*.txt again
	@$(UV) pip compile -q pyproject.toml --custom-compile-command "make lock" --python-version 3.11 --generate-hashes $(TORCH) --override requirements/overrides.txt \
		--extra airflow --extra cpu --extra local --extra dev -o requirements/cpu.txt
	@env -u UV_FIND_LINKS $(UV) pip compile -q pyproject.toml --custom-compile-command "make lock" --python-version 3.11 --generate-hashes --override requirements/overrides.txt \
		--extra gpu -o requirements/gpu.txt
	@$(UV) pip compile -q pyproject.toml --custom-compile-command "make lock" --python-version 3.11 --generate-hashes \
		--extra airflow --extra celery --extra kubernetes --extra stages -o requirements/airflow.txt
	@$(BIN)/python -m audit learn

clean: ## remove the environment; data in .tao stays
	@rm -rf $(VENV)
