# Every target does its own set-up: a virtual environment with the locked versions. uv is used where
# it is installed, venv and pip where not.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)

.PHONY: help venv dev demo test check format bench bench-console bench-load bench-intervals bench-replica \
	bench-telemetry soak-replica pictures clean lock

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17

venv: $(VENV)/.installed ## Install whisperctl into .venv

dev: $(VENV)/.installed-dev ## ... with what tests and checks need

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "whisperctl needs Python 3.11 or newer; name one with 'make PYTHON=…'."; exit 1; }
ifneq ($(UV),)
	$(UV) venv --quiet --python $(PYTHON) $(VENV)
else
	$(PYTHON) -m venv $(VENV)
endif

# $(1): a lock file
ifneq ($(UV),)
install = $(UV) pip install --quiet --python $(BIN)/python -r $(1) && \
	$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
else
install = $(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(1) && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
endif

$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/python
	$(call install,requirements.lock)
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock pyproject.toml | $(BIN)/python
	$(call install,requirements-dev.lock)
	@touch $@ $(VENV)/.installed

demo: venv ## Two replicas transcribe under rising load; the runs are compared
	$(BIN)/whisperctl demo

test: dev ## All tests, with line coverage of the three packages
	$(BIN)/python -m pytest -m "not alone" -n auto --maxprocesses 4 --dist loadgroup \
		--cov --cov-report= --cov-fail-under=0 $(PYTEST_ARGUMENTS)
	$(BIN)/python -m pytest -m alone --cov --cov-append --cov-report=term $(PYTEST_ARGUMENTS)

check: dev ## Lint, format, types, layering
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: dev ## Put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: venv ## How many clients this machine's load generator drives
	$(BIN)/whisperctl calibrate

bench-console: venv ## What drawing the console costs: the longest frame, CPU, idle CPU
	$(BIN)/python -m benchmarks.console $(BENCH_ARGUMENTS)

bench-intervals: venv ## How often the intervals of a comparison are wrong
	$(BIN)/python -m benchmarks.intervals $(BENCH_ARGUMENTS)

bench-load: venv .locust-venv/.installed ## Our load generator beside Locust and a plain script, on one core each
	$(BIN)/python -m benchmarks.streams $(BENCH_ARGUMENTS)

# Locust is no dependency: it has an environment of its own.
.locust-venv/.installed: benchmarks/streams/requirements.txt | $(BIN)/python
	rm -rf .locust-venv
ifneq ($(UV),)
	$(UV) venv --quiet --python $(BIN)/python .locust-venv
	$(UV) pip install --quiet --python .locust-venv/bin/python -r $<
else
	$(BIN)/python -m venv .locust-venv
	.locust-venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
endif
	@touch $@

bench-replica: venv ## Our replica beside upstream's server; an hour on a quiet machine
	$(BIN)/python -m benchmarks.replica $(BENCH_ARGUMENTS)

bench-telemetry: venv ## What watching a stack of eight replicas costs
	$(BIN)/python -m benchmarks.telemetry $(BENCH_ARGUMENTS)

soak-replica: venv ## A replica under load for half an hour: memory, failed sessions
	$(BIN)/python -m benchmarks.soak $(BENCH_ARGUMENTS)

pictures: venv ## Take the README's pictures anew
	$(BIN)/python -m docs.images.make

lock: dev ## Write the lock files anew (needs uv)
	uv pip compile --universal --python-version 3.11 --quiet --no-emit-index-url --no-header \
		pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --quiet --no-emit-index-url --no-header \
		--group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean: ## Remove what was built; saved runs stay
	rm -rf $(VENV) .upstream-venv .upstream-server-venv .locust-venv .pytest_cache .mypy_cache \
		.ruff_cache .import_linter_cache .coverage .coverage.* dist build snapshot_report.html
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
