# Set-up and checks. `make help` lists the targets; none needs root.

# The environment, made on first use.
VENV ?= .venv
# The Python that makes it; empty: the first fit one of python3.13, 3.12, 3.11 and python3.
PYTHON ?=
# The PyTorch that the training tests run with. Where a plain install would bring several
# gigabytes for GPUs, put the CPU build's index into PIP_EXTRA_INDEX_URL.
TORCH ?= torch==2.13.0
# make demo: a recording of your own, and 1 for real time; empty: the sample call, at full speed.
CALL ?=
SPEED ?=
# make test: what pytest runs, for example PYTEST_ARGS="tests/core -x".
PYTEST_ARGS ?=

# Tests and training may import onnxruntime before voiceguard: docs/adr/0008-no-telemetry.md.
export ORT_DISABLE_TELEMETRY = 1

BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check
SCRIPTS := $(wildcard benchmarks/*.py benchmarks/*/*.py docker/*.py examples/*.py tools/*.py)

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test coverage check lint types imports protos protos-check wheel-check clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.installed-demo ## Play a call through the server and show it live (CALL=my.wav, SPEED=1 for real time)
	@$(BIN)/voiceguard demo $(if $(CALL),--call "$(CALL)") $(if $(SPEED),--speed "$(SPEED)")

test: $(VENV)/.installed-dev ## Run all tests (PYTEST_ARGS="tests/core -x" for some)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

coverage: $(VENV)/.installed-dev ## Run the core's tests; fail below 95 % coverage of the core
	@$(BIN)/python -m pytest -q tests/core --cov=voiceguard.core --cov-report=term --cov-fail-under=95

check: lint types imports protos-check wheel-check ## Run every check that is not a test

lint: $(VENV)/.installed-dev ## Check style and formatting (ruff)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev ## Check types (mypy --strict)
	@$(BIN)/mypy --strict setup.py voiceguard $(SCRIPTS)

imports: $(VENV)/.installed-dev ## Check that imports run downward only (import-linter)
	@$(BIN)/lint-imports --no-logo

protos: $(VENV)/.installed-dev ## Generate voiceguard/v1 from proto/
	@$(BIN)/python tools/generate_protos.py

protos-check: $(VENV)/.installed-dev ## Check that voiceguard/v1 is what proto/ gives
	@$(BIN)/python tools/generate_protos.py --check

wheel-check: $(VENV)/.installed-dev ## Build the wheel, install it in a clean environment, import every module
	@$(BIN)/python tools/check_wheel.py --torch "$(TORCH)"

clean: ## Remove all that make has made
	rm -rf build dist out *.egg-info .coverage htmlcov .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf "$(VENV)"

$(VENV)/pyvenv.cfg:
	@python=$$(tools/find-python $(PYTHON)) && "$$python" -m venv "$(VENV)"

$(VENV)/.installed-demo: setup.py pyproject.toml $(VENV)/pyvenv.cfg
	@echo "installing voiceguard into $(VENV) (about a minute the first time)"
	@$(PIP_INSTALL) -e '.[plots]'
	@touch $@

$(VENV)/.installed-dev: setup.py pyproject.toml $(VENV)/pyvenv.cfg
	@echo "installing voiceguard, PyTorch and the test tools into $(VENV) (about two minutes the first time)"
	@$(PIP_INSTALL) -e '.[dev,plots,training]' "$(TORCH)"
	@touch $@ $(VENV)/.installed-demo
