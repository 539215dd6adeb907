# Both targets set everything up on a fresh machine: a virtual environment, PyTorch as a CPU build where one can be had,
# then whyrec itself. PYTHON chooses the interpreter (3.11 to 3.13).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint setup clean

demo: $(VENV)/.ready
	$(BIN)/whyrec demo --out demo

# One thread for each worker: more would fight for the same cores, and small tensors then take twenty times as long.
test: $(VENV)/.ready-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -q

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: $(VENV)/.ready-dev

$(VENV)/.torch:
	$(PYTHON) -m venv $(VENV)
	sh tools/install-torch.sh $(BIN)/python
	touch $@

$(VENV)/.ready: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install -q -e .
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(BIN)/python -m pip install -q -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) demo
