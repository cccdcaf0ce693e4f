# Everything a person runs. Each target makes .venv first if it is missing or older than pyproject.toml.
PYTHON ?= python3
VENV   ?= .venv
RUN    := $(VENV)/bin/

.PHONY: help up test lint fmt types vectors interop conformance probes bench peers ancestors pythons

help:     ## list the targets
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 13

up: $(VENV)/.runs            ## start a server (first run makes its key and config); ARGS="--host example.com"
	@exec $(RUN)shadesocks up $(ARGS)

test: $(VENV)/.tests lint types    ## lint, types and every test
	$(RUN)python -m pytest $(ARGS)

lint: $(VENV)/.tests         ## ruff, format and rules
	$(RUN)ruff format --check . && $(RUN)ruff check .

fmt: $(VENV)/.tests          ## format the code
	$(RUN)ruff format . && $(RUN)ruff check --fix .

types: $(VENV)/.tests        ## mypy --strict
	$(RUN)mypy

vectors: $(VENV)/.tests      ## every test vector; DIR=... for another directory of the same layout
	$(RUN)python -m tests.vectors $(DIR)

interop: $(VENV)/.tests      ## the whole interop matrix, against the peers that are installed
	$(RUN)python -m pytest tests/interop --whole $(ARGS)

conformance: $(VENV)/.tests  ## the old programs' own suites, and our ends against those that are here
	$(RUN)python -m tests.conformance $(ARGS)

probes: $(VENV)/.tests       ## the whole probe table and the long end-to-end tests
	$(RUN)python -m pytest tests/probes tests/e2e --whole $(ARGS)

bench: $(VENV)/.tests        ## side by side with every peer found; PROFILE=1 for the cost of each feature
	$(RUN)python -m benchmarks $(if $(PROFILE),--profile,--write) $(ARGS)

peers:                       ## install the programs that the tests and benchmarks compare with
	tools/peers.sh all

ancestors:                   ## install the old programs that the tests play against, those that can be had
	tools/ancestors.sh

pythons:                     ## every test on each supported Python that is found, 3.11 to 3.13
	tools/pythons.sh $(ARGS)

$(VENV)/.runs: pyproject.toml tools/venv.sh
	@tools/venv.sh $(PYTHON) $(VENV) run

$(VENV)/.tests: pyproject.toml tools/venv.sh
	@tools/venv.sh $(PYTHON) $(VENV) test
