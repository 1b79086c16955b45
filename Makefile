# make demo | test | bench | torture | cover | mutants | audit | lint | format | clean; see CONTRIBUTING.md.
# PYTHON=python3.12 names the Python to build .venv with, ARGS="--once" is handed on to what is run.
PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin

# SLOW=1 or CI=true: the slow tests too.
MARKS := $(if $(filter 1 true,$(CI) $(SLOW)),,-m "not slow")

.PHONY: help demo test bench torture cover mutants audit lint format clean
.NOTPARALLEL:

help:
	@echo "make demo    a week of New York flights and weather through the service; ARGS=--once ends it"
	@echo "make test    all tests; SLOW=1 adds the slow ones; ARGS='-k why' picks some"
	@echo "make torture kills, stops, floods and fills the disk of the real service, as often as docs/promises.md says"
	@echo "make bench   how fast it is, beside what the machine allows; ARGS=--short takes some minutes"
	@echo "make cover   the branches of sensorflow/core that the unit tests do not take"
	@echo "make mutants the mistakes put into the heart of the core that no test notices; an hour or two"
	@echo "make audit   what bandit finds grave in the code, and known holes in what it stands on"
	@echo "make lint    formatting, lint, types, layers"
	@echo "make format  put the code in the form that lint wants"
	@echo "make clean   remove .venv, caches and builds"

demo: $(VENV)/demo.stamp
	@$(BIN)/sensorflow demo $(ARGS)

test: $(VENV)/dev.stamp
	@$(BIN)/python -m pytest $(MARKS) $(ARGS)

# In CI the same tests run with small numbers; TORTURE_KILLS=1000 and the like say other ones.
torture: $(VENV)/dev.stamp
	@TORTURE=full $(BIN)/python -m pytest -o faulthandler_timeout=0 tests/torture tests/integration/test_file_storms.py $(ARGS)

bench: $(VENV)/dev.stamp
	@$(BIN)/python -m bench $(ARGS)

cover: $(VENV)/dev.stamp
	@$(BIN)/coverage run --branch --source=sensorflow.core -m pytest tests/unit -q --hypothesis-profile=ci $(ARGS)
	@$(BIN)/coverage report --show-missing --skip-covered --fail-under=100

# No dependency of development: it brings a user interface and a parser, and is run now and then.
mutants: $(VENV)/dev.stamp
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'mutmut>=3.8,<4'
	@$(BIN)/mutmut run $(ARGS)
	@$(BIN)/mutmut results

# No dependencies of development either; what is known of versions is asked of PyPI, which not every machine reaches.
audit: $(VENV)/dev.stamp
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'bandit>=1.9,<2' 'pip-audit>=2.10,<3'
	$(BIN)/bandit --quiet --recursive sensorflow --severity-level high
	$(BIN)/pip-audit --skip-editable $(ARGS)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict sensorflow
	$(BIN)/lint-imports

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .coverage mutants
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is the time of the last install; dev holds all that demo holds.
$(VENV)/demo.stamp: pyproject.toml | $(VENV)/made.stamp
	@echo "Installing sensorflow into $(VENV) (once, about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/made.stamp
	@echo "Installing sensorflow and its development tools into $(VENV) (once, about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/demo.stamp

$(VENV)/made.stamp:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "$(PYTHON) is not there; sensorflow needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("$(PYTHON) is Python %d.%d; sensorflow needs 3.11 or newer: make $(MAKECMDGOALS) PYTHON=..." % sys.version_info[:2])'
	@echo "Making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@
