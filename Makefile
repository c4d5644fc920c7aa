# make run: everything from a fresh clone to the report. make test: the tests. make check: all checks.
PYTHON ?= python3
PORT ?= 5000
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := true
export OMP_WAIT_POLICY := PASSIVE
# threads that wait do not burn a busy machine's cores

.PHONY: run test check ui tune

run: .venv/ready  ## set up, bring the bundled sample, run the pipeline, show the ranking
	@[ -e data ] || dvc pull --quiet data.dvc
	dvc repro
	@twinear ranking
	@echo "report: reports/report.md, reports/report.html    runs: make ui"

test: .venv/ready  ## set up and run the tests
	pytest

check: .venv/ready  ## style, types, import contract, tests
	ruff format --check
	ruff check
	mypy
	lint-imports
	pytest

ui: .venv/ready  ## the runs in MLflow, on http://127.0.0.1:5000
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow server --workers 1 --host 127.0.0.1 --port $(PORT) \
	  --backend-store-uri sqlite:///mlflow.db

tune: .venv/ready  ## search for better params; make tune TRIALS=100
	twinear tune $(if $(TRIALS),--trials $(TRIALS))

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch .venv/ready
