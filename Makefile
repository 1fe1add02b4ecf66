# Everything here needs make and a Python >= 3.10 with its venv module, nothing else.
#
#   make demo [FOLDER=...]   run the demo, on your folder if you name one
#   make test [SLOW=1]       run the tests; SLOW=1 runs the slow ones too
#   make check               lint, format, types, import layers: what a change must pass
#   make fmt                 format, and fix what can be fixed
#   make bench               what a guarded call and a wrapped library cost, as ratios within one run
#   make bench-check         the same, and fail if a ratio passes its target
#   make bench-peers         the same call guarded by other libraries, in environments of their own
#   make cover               run all tests and say which lines and branches they miss
#   make clean               remove the virtual environment and caches
#
# PYTHON=python3.12 chooses the interpreter. PYTEST_ARGS='-k delegate' goes to pytest.

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet

works = import sys; sys.exit(sys.version_info < (3, 10))
ifndef PYTHON
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11 python3.10 python; do \
  if $$p -c '$(works)' >/dev/null 2>&1; then echo $$p; break; fi; done)
endif

# A virtual environment knows the folder it was made in and the Python it was made with: when either
# has changed (the checkout was moved, Python was removed), it is made again.
HERE := $(CURDIR) $(PYTHON)
ifneq ($(shell $(PY) -c pass >/dev/null 2>&1 && cat $(VENV)/.made 2>/dev/null),$(HERE))
STALE := stale
endif

.PHONY: help demo test check fmt cover bench bench-check bench-peers clean stale
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.demo
	@$(VENV)/bin/agentid demo $(if $(FOLDER),"$$FOLDER")

test: $(VENV)/.test
	$(PY) -m pytest -n auto $(if $(SLOW),,-m 'not slow') $(PYTEST_ARGS)

bench: $(VENV)/.test
	$(PY) -m benchmarks

bench-check: $(VENV)/.test
	$(PY) -m benchmarks --check

bench-peers: $(VENV)/.demo
	$(PY) -m benchmarks.peers

cover: $(VENV)/.test
	$(PY) -m pytest -n auto --cov --cov-report=term $(PYTEST_ARGS)

check: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright --pythonpath $(PY)
	@if ls tests/typing/*.py >/dev/null 2>&1; then echo '$(VENV)/bin/mypy tests/typing'; $(VENV)/bin/mypy tests/typing; fi
	$(VENV)/bin/lint-imports --no-cache

fmt: $(VENV)/.dev
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* dist

# One environment, filled as far as the command needs. A change of pyproject.toml installs again.

$(VENV)/.made: $(STALE)
	@$(if $(PYTHON),,echo 'agentid needs Python 3.10 or newer, and found none: install one, or set PYTHON=/path/to/python' >&2; exit 2)
	@'$(PYTHON)' -c '$(works)' >/dev/null 2>&1 || \
	  { echo 'agentid needs Python 3.10 or newer: $(PYTHON) is older or does not run; set PYTHON=/path/to/python' >&2; exit 2; }
	@'$(PYTHON)' -c 'import ensurepip, venv' >/dev/null 2>&1 || \
	  { echo 'agentid needs the venv module, and $(PYTHON) has none: on Debian and Ubuntu, apt install python3-venv' >&2; exit 2; }
	@echo 'making $(VENV) with $(PYTHON)'
	@rm -rf $(VENV)
	@'$(PYTHON)' -m venv $(VENV)
	@$(PIP) install 'pip>=25.1'
	@echo '$(HERE)' >$@

$(VENV)/.demo: $(VENV)/.made pyproject.toml
	@echo 'installing agentid from this checkout into $(VENV)'
	@$(PIP) install -e '.[otlp,toml]'
	@touch $@

$(VENV)/.test: $(VENV)/.made pyproject.toml
	@echo 'installing agentid and what its tests need into $(VENV)'
	@$(PIP) install -e '.[otlp,toml]' --group test --group access --group interop --group contrib
	@touch $(VENV)/.demo $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml
	@echo 'installing agentid and the tools of its developers into $(VENV)'
	@$(PIP) install -e '.[otlp,toml]' --group dev
	@touch $(VENV)/.demo $(VENV)/.test $@
