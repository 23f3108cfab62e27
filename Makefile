# make          what there is to make
# make demo     see smarthostd at work, against a sandbox smarthost on this machine

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz run lint format bench bench-compare peers requirements clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(READY)  ## see it work: a client, smarthostd, a sandbox smarthost, all on this machine
	@$(BIN)/smarthostd demo

test: $(READY)  ## run the whole suite (`make peers` first, or the tests with real mail servers are skipped)
	$(BIN)/pytest

fuzz: $(READY) peers  ## ask the real Exim and us 20,000 random questions of each kind (COUNT=, SEED=, KIND=)
	$(BIN)/python -m tests.exim --kind $(or $(KIND),all) --count $(or $(COUNT),20000) --seed $(or $(SEED),1)

run: $(READY)  ## run the daemon in the foreground, on unprivileged ports
	$(BIN)/smarthostd run -C config/smarthostd.toml

lint: $(READY)  ## style, types, and the floors of the house
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY)  ## measure smarthostd alone
	$(BIN)/python -m bench alone

bench-compare: $(READY) peers  ## measure it beside Exim and Postfix: an hour
	$(BIN)/python -m bench compare

peers:  ## fetch Exim, Postfix and Dovecot from Debian into .cache/peers; installs nothing
	$(PYTHON) tests/peers/fetch.py

requirements: $(READY)  ## pin anew what pyproject.toml and requirements/dev.in ask for
	$(COMPILE) --upgrade --output-file requirements/runtime.txt pyproject.toml
	$(COMPILE) --upgrade --extra demo --output-file requirements/dev.txt pyproject.toml requirements/dev.in
	sed -i '/^--/d' requirements/runtime.txt requirements/dev.txt  # where this machine gets its packages is its own affair

clean:  ## remove what was made here, the fetched peers excepted
	rm -rf $(VENV) build src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# The stamp is younger than what it was made from: the second time costs nothing.
$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("smarthostd needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
	@echo "making $(VENV), once; it takes about a minute"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
