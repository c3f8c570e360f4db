# Everything needed is put into .venv here; of the system only Python 3.11 or newer is expected. Where Debian's
# packages are missing (venv, a browser for the tests) they are installed as root or by sudo, or named.

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
VENV_PACKAGE = $(if $(PYTHON),$(shell $(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'))
INSTALL = .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable

ROOT := $(if $(filter-out 0,$(shell id -u)),sudo -n)
debian = command -v apt-get >/dev/null && $(ROOT) true 2>/dev/null </dev/null && $(ROOT) apt-get update -qq && \
	$(ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(1) </dev/null

# Tests start hundreds of processes, each of which would compile the whole program anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check bench simulate mutants chaos screenshots browser clean

help: ## list what can be made
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' $(MAKEFILE_LIST)

demo: .venv/runtime ## sell coffee here: a server, sandbox payments and two simulated machines
	@.venv/bin/python -m server demo

test: .venv/test browser ## run every test
	@.venv/bin/python -m pytest --numprocesses 4 --dist loadfile

check: .venv/test ## check style and types
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy

bench: .venv/test ## measure how fast it is, beside the bare parts (ROWS=polls,sales GROWN=10000000)
	@.venv/bin/python -m bench $(if $(ROWS),--rows $(ROWS)) $(if $(GROWN),--grown $(GROWN)) $(if $(FOLDER),--folder $(FOLDER))

chaos: .venv/test ## sell ORDERS drinks in real processes under faults (SEED=n repeats; DATABASE_URL, WORKERS=2)
	@.venv/bin/python -m tests.chaos --orders $(or $(ORDERS),200) $(if $(SEED),--seed $(SEED)) \
		$(if $(DATABASE_URL),--database-url $(DATABASE_URL)) $(if $(WORKERS),--workers $(WORKERS))

simulate: .venv/test ## run SEEDS towns of machines in virtual time (FIRST=n: the first seed; SERVERS=2)
	@.venv/bin/python -m tests.simulation --seeds $(or $(SEEDS),1000) --first $(or $(FIRST),1) --servers $(or $(SERVERS),1)

mutants: .venv/test ## break one protection at a time and see that the simulation finds it
	@.venv/bin/python -m tests.simulation.mutants

screenshots: .venv/test browser ## take pictures of a running site's pages (FOLDER, by default build/screenshots)
	@.venv/bin/python -m tests.screenshots $(FOLDER)

clean: ## remove what was installed and built here (no database)
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed. On Debian: sudo apt-get install python3' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(call debian,$(VENV_PACKAGE)); } || true
	@$(PYTHON) -m venv --clear .venv >/dev/null 2>&1 || \
		{ $(PYTHON) -m venv --clear --without-pip .venv && $(PYTHON) -m pip --quiet --python $@ install pip; } 2>/dev/null || \
		{ rm -rf .venv; echo 'Python lacks its venv module. On Debian: sudo apt-get install $(VENV_PACKAGE)' >&2; exit 1; }

.venv/runtime: setup.cfg pyproject.toml | .venv/bin/python
	@echo 'Installing what Demitasse needs into .venv'
	@$(INSTALL) .
	@touch $@

.venv/test: setup.cfg pyproject.toml | .venv/bin/python
	@echo 'Installing what Demitasse and its tests need into .venv'
	@$(INSTALL) '.[test]'
	@touch $@ .venv/runtime

browser: .venv/test
	@.venv/bin/python -m tests.browser 2>/dev/null || \
		{ $(call debian,chromium-headless-shell fonts-dejavu-core fonts-noto-color-emoji); .venv/bin/python -m tests.browser; } || \
		test -z "$$CI"
