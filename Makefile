PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2

# Small networks: threads that spin while they wait cost more than they bring.
export OMP_WAIT_POLICY ?= PASSIVE
export MPLBACKEND ?= Agg

.PHONY: venv compare bench docs examples test test-all coverage test-wheel art-matrix art-tests lint clean

venv: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("art-snn needs Python 3.11 or newer; try: make PYTHON=python3.12 venv" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test,bench]'
	@touch $(STAMP)

compare: $(STAMP)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/art-snn compare --dataset digits --out runs/compare-digits

bench: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/speed.py --again
	OMP_NUM_THREADS=2 $(BIN)/python benchmarks/speed.py --threads 2 --again neuron network attack
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/speed.py --without-numba --again neuron network/mlp network/cnn attack
	OMP_NUM_THREADS=2 $(BIN)/python benchmarks/speed.py --without-numba --threads 2 --again neuron network/mlp network/cnn attack
	$(BIN)/python benchmarks/speed.py --table

docs: $(STAMP)
	@$(BIN)/python -c 'import furo, myst_parser, sphinx' 2>/dev/null || $(BIN)/python -m pip install --quiet --editable '.[docs]'
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W -n --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

examples: $(STAMP)
	for name in art_user ann_vs_snn prototype_defense; do $(BIN)/python examples/$$name.py > docs/output/$$name.txt || exit 1; done

test: $(STAMP)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n $(WORKERS) -m 'not slow'

test-all: $(STAMP)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n $(WORKERS)

art-matrix: $(STAMP)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python benchmarks/art_compatibility.py
	$(BIN)/python benchmarks/art_compatibility.py --page

# make art-tests ART_SOURCE=<unpacked source of ART> [ART_OPTIONS="--weights <folder> --mnist <file>"]
art-tests: $(STAMP)
	$(BIN)/python tests/external/run.py --art-source "$(ART_SOURCE)" $(ART_OPTIONS) --report docs/art-tests.md

coverage: $(STAMP)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n $(WORKERS) -m 'not slow' --cov=art_snn --cov-branch

test-wheel: $(STAMP)
	$(BIN)/python tests/release/installed.py --python $(PYTHON)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
