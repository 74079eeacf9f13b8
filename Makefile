# jit: make help shows what there is.  Needs root on a Debian machine; tests/setup
# installs what is missing and keeps every cache outside this folder.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# All levels of tests but system, in the order in which they run beside it.
OTHERS := unit contract integration architecture faults
# Everything a rule runs comes from the environment that tests/setup prepares.
WITH_ENV = venv=$$(tests/setup) && export PATH="$$venv/bin:$$PATH" &&

.PHONY: help demo test test-others test-system check bench faults lab down deb protos schema clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: ## the whole story on a throwaway host: ask, approve, become root, be gone on time
	@$(WITH_ENV) python tests/demo/demo.py

test: ## everything: quick checks, then every level of tests, booted hosts included
	@$(WITH_ENV) ruff check && ruff format --check
	@echo 'make test: two lines of tests side by side; each is shown when it is over'
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-others test-system

# System tests mostly wait, for grants to end, and leave the machine to the others.  The longest of them is with those,
# so that both lines are of one length.
LONG := tests/system/test_random_life.py
test-others:
	@$(WITH_ENV) mypy && python -m pytest $(OTHERS:%=--require-level %) $(OTHERS:%=tests/%) $(LONG)

test-system:
	@$(WITH_ENV) python -m pytest --require-level system --ignore $(LONG) tests/system

check: ## the quick part of it: format, lint, types, imports, stubs, unit tests
	@$(WITH_ENV) ruff check && ruff format --check && mypy && \
	python -m pytest -q tests/unit tests/architecture

bench: ## figures as ratios against the real alternative; writes build/bench.json
	@$(WITH_ENV) python tests/bench/bench.py

faults: ## the fault table on booted hosts: what stopped each grant, how late; writes build/faults.json
	@$(WITH_ENV) python tests/faults/run.py

lab: ## boot the lab: a server and two hosts, ready to play with
	@$(WITH_ENV) tests/lab/lab up
	@echo 'now try: tests/lab/lab exec web1 -u alice -t -- jit sudo id'

down: ## end the lab
	@tests/lab/lab down

deb: ## the packages for Debian 12 and 13, in build/deb
	@$(WITH_ENV) packaging/build

protos: ## write the protobuf stubs anew
	@$(WITH_ENV) "$$venv/codegen/bin/python" protos/generate.py

schema: ## write the JSON Schema of policy files anew
	@$(WITH_ENV) python -m jit_server.adapters.policy_yaml.schema > server/jit_ctl/policy.schema.json

clean: ## remove what builds left in this folder
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
