# `make demo` and `make test` set up everything they need in .venv from the locked versions.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PYTEST := $(RUN) -m pytest --numprocesses auto --dist worksteal

.PHONY: demo test thorough docs compat bench lock clean

demo: $(VENV)/installed
	$(RUN) -m train.compare --dataset demo --losses ce,bounded_cwmi --fold 1 --output runs/demo

test: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PYTEST) -m 'not documentation and not thorough' --hypothesis-profile quick

# The tests again, with all combinations of settings.
thorough: $(VENV)/installed
	$(PYTEST) -m 'not documentation'

# The site, in build/site, and all code of README, pages and notebooks. A link or a name that leads nowhere is an error.
docs: $(VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --quiet
	$(PYTEST) -m documentation

# Other versions than those of the lock file: the oldest, and Colab's.
compat:
	compat/run

bench: $(VENV)/installed
	$(RUN) -m benchmarks

$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) must be Python 3.11 or newer with venv; name another with 'make PYTHON=python3.12 ...'"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# The newest versions that fit pyproject.toml, for every platform.
lock: $(VENV)/installed
	$(RUN) -m pip install --quiet uv
	$(VENV)/bin/uv pip compile --universal --upgrade --no-emit-index-url --no-annotate --no-header \
		--extra train --extra test --extra docs --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) .compat build .hypothesis *.egg-info .mypy_cache .pytest_cache .ruff_cache
