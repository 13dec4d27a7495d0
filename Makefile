.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
WORKERS ?= 2
ARGS ?=
DATA ?= data

BIN := .venv/bin
# make BIN=DIR TARGET uses the programs of another environment, and installs nothing
STAMP := $(if $(filter .venv/bin,$(BIN)),.venv/.installed)
CODE := $(wildcard nas tests tools search.py train.py setup.py)

.PHONY: help .venv search train test test-all docs mutants campaign lint format bench bench-gpu gpu clean

help: ## Show this list
	@grep -hE '^[a-z.-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

.venv: .venv/.installed ## Make the virtual environment with the pinned versions

.venv/.installed: pyproject.toml setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -qq -c constraints.txt -e '.[dev]'
	@touch .venv/.installed

search: $(STAMP) ## Search with a small supernet: make search ARGS="method=gdas seed=1"
	$(BIN)/python search.py $(if $(findstring space.cells_per_stage=,$(ARGS)),,space.cells_per_stage=1) $(ARGS)

train: $(STAMP) ## Train one architecture from scratch: make train ARGS="genotype=..."
	$(BIN)/python train.py $(ARGS)

test: lint ## Run the linters, the type checker and the fast tests
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not slow and not gpu" $(ARGS)

test-all: lint ## Run the linters, the type checker and all tests
	$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

docs: $(STAMP) ## Build the documentation site in site/; a broken link is an error
	$(if $(STAMP),$(BIN)/pip install -qq -c constraints.txt -e '.[docs]')
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build -q
	@echo "site/index.html"

mutants: $(STAMP) ## Plant the mistakes of tools/mutants.yaml one at a time and report which of them the tests notice
	$(BIN)/python tools/mutants.py -n $(WORKERS) $(ARGS)

campaign: $(STAMP) ## Kill and resume runs, start two in one directory, read hostile files, mistype command lines
	$(BIN)/python tools/campaign.py --workers $(WORKERS) $(ARGS)

lint: $(STAMP) ## Check style, types and the house rules
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/pytest --noconftest -q tests/test_style.py tests/test_layers.py

format: $(STAMP) ## Rewrite the code in the house format
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

bench: $(STAMP) ## Measure the step of every method for BENCHMARKS.md (1 hour); REFS=DIR compares with the authors' code in DIR
	code=0; $(BIN)/python tools/bench.py --write --compiled darts $(if $(REFS),--refs $(REFS)) $(ARGS) || code=1; \
	  $(if $(REFS),$(BIN)/python tools/bench_tenas.py $(REFS)/TENAS || code=1;) exit $$code

bench-gpu: $(STAMP) ## Measure the step of five methods on a GPU in 9 minutes; with CIFAR-10 in DATA, also one whole search
	-$(BIN)/python tools/bench.py --seconds 150 --steps 40 --variants plain,fast trainer=gpu trainer.precision=bf16-mixed \
	  dataset.size=8192 dataset.batch_size=64 method=gdas,darts,drnas,pc_darts,darts_2nd $(if $(REFS),--refs $(REFS)) $(ARGS)
	@if [ -e $(DATA)/cifar-10-batches-py ] || [ -e $(DATA)/cifar-10-python.tar.gz ]; then set -x; \
	  $(BIN)/python search.py experiment=pc_darts/cifar10 trainer=gpu trainer.precision=bf16-mixed paths.data=$(DATA) \
	    trainer.max_time="'00:00:04:30'"; \
	else echo "no CIFAR-10 in $(DATA): make bench-gpu DATA=DIR also runs the search of PC-DARTS"; fi

gpu: $(STAMP) ## On a machine with a GPU, in 9 minutes: its tests, the speed of methods; with CIFAR-10 in DATA, also runs on it
	$(BIN)/python tools/check_gpu.py --data $(DATA) $(ARGS)

clean: ## Remove the virtual environment, caches and build leftovers, but no results
	rm -rf .venv build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find nas tests tools -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
