# The habitual commands. Each sets up .venv/ first when pyproject.toml or constraints.txt changed since the last time.
PYTHON ?= python3.11
TARGET ?= i7
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup bench nightly test lint format train web clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: $(READY)  ## install everything into .venv/

bench: $(READY)  ## compress, export and benchmark the default network on TARGET (i7)
	$(BIN)/python benchmarks/run.py --target $(TARGET)

nightly: $(READY)  ## benchmark every reachable target and compare with the nights before; the page is build/nightly/report.html
	$(BIN)/python -m benchmarks.nightly

test: $(READY)  ## run the tests
	$(BIN)/python -m pytest

lint: $(READY)  ## check style and the arrows between the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(READY)  ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

train: $(READY)  ## train the default network (needs FER+, see the README)
	$(BIN)/python -m train --recipe efficientface-48 --start train/checkpoints/efficientface-64 --ldg train/checkpoints/resnet18

web:  ## fetch LiteRT's web runtime for `edgefer serve` and `edgefer export-web` (needs npm; nothing else does)
	@command -v npm > /dev/null || { echo "make web needs npm, which is not installed (Debian: apt-get install npm); all else works without it"; exit 3; }
	npm ci --prefix runtime/web --no-audit --no-fund

clean:  ## remove what was built, keep the environment
	rm -rf build

$(READY): pyproject.toml constraints.txt
	@echo "setting up $(VENV) (about two minutes, 7 GB: PyTorch brings its GPU libraries)"
	$(PYTHON) -c 'import sys; assert sys.version_info[:2] >= (3, 11), "Python 3.11 or newer is needed"'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile --constraint constraints.txt --editable '.[workshop,dev]'
	touch $@
