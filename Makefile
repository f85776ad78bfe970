# Everything on a fresh machine with Python 3.11: `make demo` shows it, `make test` proves it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out
# Idle threads that spin steal the cores of whatever else runs.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test test-slow lint format card picture five bench clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

# Linters, tests, the detectors that tests look at frames with, and what makes data sets: 2 GB more.
$(VENV)/tools: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,eval,preprocess]'
	touch $@

demo: $(VENV)/installed  ## animate one held-out puppet with another
	$(BIN)/python examples/demo.py --output $(OUT)/demo

test: lint  ## under 10 minutes on 2 cores, no network
	$(BIN)/python -m pytest

test-slow: $(VENV)/tools  ## kills, soaks and the shipped weights' figures
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

format: $(VENV)/tools
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

card: $(VENV)/installed  ## measure the shipped weights on held-out puppets
	$(BIN)/prioritycut evaluate puppets puppets $(OUT)/card.json
	$(BIN)/python examples/card.py $(OUT)/card.json docs/model-card-puppets.json

picture: $(VENV)/installed  ## the README's picture, by the shipped weights
	$(BIN)/python examples/picture.py

five: $(VENV)/installed  ## train the paper's five systems small, and compare them (hours; see the script)
	BIN=$(BIN) examples/train_five.sh

bench: $(VENV)/tools  ## speed and memory of training, animation, metrics and data
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/animation.py
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/data.py pairs
	$(BIN)/python benchmarks/data.py feeding
	$(BIN)/python benchmarks/preprocessing.py

clean:
	rm -rf $(OUT) .pytest_cache .ruff_cache
