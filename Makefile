# Everything on a fresh machine with Python 3.11: `make demo` shows it, `make test` proves it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out
# Idle threads that spin steal the cores of whatever else runs.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test test-slow lint format card picture bench clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/installed  ## animate one held-out puppet with another
	$(BIN)/python examples/demo.py --output $(OUT)/demo

test: lint  ## under 10 minutes on 2 cores, no network
	$(BIN)/python -m pytest

test-slow: $(VENV)/installed  ## kills, soaks and the shipped weights' figures
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

card: $(VENV)/installed  ## measure the shipped weights on held-out puppets
	$(BIN)/prioritycut evaluate puppets --output $(OUT)/card.json

picture: $(VENV)/installed  ## the README's picture, by the shipped weights
	$(BIN)/python examples/picture.py

bench: $(VENV)/installed  ## speed and memory of training and animation
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/animation.py

clean:
	rm -rf $(OUT) .pytest_cache .ruff_cache
