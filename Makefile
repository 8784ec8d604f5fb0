# make run: the service. make test: everything that can be checked. The rest is below.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: run test lint docs bench soak screenshots clean

run: $(VENV)/runtime.stamp
	@exec $(BIN)/python app.py

# Most of a test of real processes is waiting for one of them: hence six at once on two cores.
test: lint
	$(BIN)/python -m pytest -n 6 --dist worksteal $(ARGS)

lint: $(VENV)/dev.stamp
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

# Writes config.ini, docs/configuration.md and docs/commands.md from the code.
docs: $(VENV)/dev.stamp
	$(BIN)/python -m docs.generate

bench: $(VENV)/dev.stamp
	$(BIN)/python -m bench $(ARGS)

# The same tests as in `make test`, those with a long form only, at their long form.
soak: $(VENV)/dev.stamp
	DUEY_TEST_SOAK=1 $(BIN)/python -m pytest -m soak --timeout 14400 $(ARGS)

screenshots: $(VENV)/dev.stamp
	$(BIN)/python -m docs.screenshots $(ARGS)

# Leaves data/ alone: that is the service's.
clean:
	rm -rf $(VENV) .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A changed requirements.txt makes the environment anew, so that nothing unlisted lingers in it.
$(VENV)/runtime.stamp: requirements.txt
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
	  echo "make: expected Python 3.10 or newer, found no $(PYTHON); install python3, or name one: make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "make: expected Python 3.10 or newer, found $$("$(PYTHON)" -V 2>&1); install one and name it: make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "make: expected the modules venv and ensurepip, found $(PYTHON) without them; install them (Debian, Ubuntu: apt-get install python3-venv)." >&2; exit 1; }
	@echo "Installing requirements.txt into $(VENV) (once)" >&2
	@"$(PYTHON)" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/runtime.stamp
	@echo "Installing requirements-dev.txt into $(VENV) (once)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
