# RecoMart. `make help` lists what there is; README.md explains it.
PYTHON ?= python3.11
VENV ?= .venv
SOURCE ?=
CLICKSTREAM ?=
CATALOGUE_URL ?=
CRON ?=
TIMEZONE ?=

# The embedded servers and the stages that DVC starts must find this environment's tools first. Byte code is kept:
# without it every stage would compile Feast and MLflow anew.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(abspath $(VENV))/bin:$(PATH)
READY := $(VENV)/.ready
RUN := $(VENV)/bin/python -m pipelines

.DEFAULT_GOAL := help
.PHONY: help venv lock demo up down status env simulate connect pipeline train serve apply materialize notebooks schedule ui \
        test test-fast lint format audit bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' Makefile

venv: $(READY)  ## make .venv from the pinned requirements.txt

$(READY): requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not on the PATH: install Python 3.11, or name one with PYTHON=…" >&2; exit 1; }
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); echo "make: $(PYTHON) can't make a virtual environment (on Debian: apt install python3-venv)" >&2; exit 1; }
	@echo "installing requirements.txt into $(VENV)"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.txt)"
	@$(VENV)/bin/uv pip sync --quiet --python $(VENV)/bin/python requirements.txt \
	  || $(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	@test $(VENV) != .venv || $(VENV)/bin/python -c "import pathlib, sysconfig; pathlib.Path(sysconfig.get_path('purelib'), 'recomart.pth').write_text('$(CURDIR)\n')"
	@touch $@

lock: venv  ## resolve pyproject.toml into requirements.txt
	uv pip compile --quiet pyproject.toml --extra dev --python-version 3.11 --no-annotate --no-header -o requirements.txt

demo: venv  ## everything, from nothing to a running service (SOURCE= CLICKSTREAM= for your own data)
	@$(RUN) demo $(if $(SOURCE),--source $(SOURCE)) $(if $(CLICKSTREAM),--clickstream $(CLICKSTREAM)) $(if $(CATALOGUE_URL),--catalogue-url $(CATALOGUE_URL)) $(DEMO_ARGS)

up: venv  ## start Postgres and Redis (embedded, unless the environment names servers)
	@$(RUN) up

down: venv  ## stop everything that up, demo, serve or ui started
	@$(RUN) down

status: venv  ## what runs, and where
	@$(RUN) status

env: venv  ## print the lines that point feast and mlflow at the running services: eval "$$(make -s env)"
	@$(RUN) env

simulate: venv  ## write the simulated shop into data/demo
	@$(RUN) simulate

connect: venv  ## connect a shop: SOURCE= CLICKSTREAM= [CATALOGUE_URL=]
	@$(RUN) connect $(if $(SOURCE),--source $(SOURCE)) $(if $(CLICKSTREAM),--clickstream $(CLICKSTREAM)) $(if $(CATALOGUE_URL),--catalogue-url $(CATALOGUE_URL))

pipeline: up  ## run every stage whose inputs changed
	@$(RUN) pipeline

train: up  ## assemble, train, evaluate and register, and what they need, where it changed
	@$(RUN) pipeline register
	@$(RUN) models

serve: up  ## start the HTTP service and wait until it is ready
	@$(RUN) serve

apply: up  ## register the feature views with Feast
	@$(RUN) views --check
	@eval "$$($(RUN) env)" && cd feature_repo && feast apply

materialize: up  ## load the newest feature values into Redis
	@$(RUN) materialize

notebooks: up  ## open the notebooks
	@eval "$$($(RUN) env)" && jupyter lab notebooks

schedule: up  ## run the pipeline every night, with a web page (CRON="0 3 * * *" TIMEZONE=Europe/London)
	@$(RUN) schedule $(if $(CRON),--cron "$(CRON)") $(if $(TIMEZONE),--timezone $(TIMEZONE))

ui: up  ## start the web pages of MLflow, Feast and Prefect
	@$(RUN) ui

test: venv  ## all tests
	@$(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile

test-fast: venv  ## the tests that need no server and take under a minute together
	@$(VENV)/bin/python -m pytest --numprocesses 2 -m "not slow and not services"

lint: venv  ## ruff, mypy, and published feature views against their records
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(RUN) views --check

format: venv  ## let ruff rewrite what it can
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

audit: venv  ## look the pinned packages up among the known vulnerabilities (needs osv.dev)
	@$(VENV)/bin/python .ci/audit

bench: venv  ## measure against the alternatives, side by side
	@$(VENV)/bin/python -m tests.benchmarks

clean: venv  ## stop everything, then remove the lake, the services' data and the environment
	@$(RUN) down --purge
	rm -rf data/[!R]* logs .dvc/cache .dvc/tmp dvc.lock $(VENV)
