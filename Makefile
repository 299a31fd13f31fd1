# The verbs. Everything is made below build/ and the cache folder ($ALC_CACHE, else ~/.cache/jupyter-alc).
SHELL := /bin/sh
HOST := build/env/host/bin
export PYTHONSAFEPATH := 1
unexport PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH VIRTUAL_ENV

.PHONY: help demo up test check format env dev lock bench campaign docs clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo: env-browser  ## set up, start the whole system and run the main job; with a terminal it stays up
	@PYTHONPATH=tests $(HOST)/python -m day

up: env  ## start the whole system on the embedded defaults; Ctrl-C ends it
	@$(HOST)/python -m jupyter_alc.cli up --state build/state

test: env-test check  ## set up and run every test tier (TIERS=unit,contract picks some; TIERS=all knows no budget)
	@$(HOST)/python .ci/tiers.py

check: env  ## format, lint, types, import rules, front-end lint
	@$(HOST)/python .ci/check.py

format: env  ## let the formatters rewrite the sources
	@$(HOST)/ruff format . && $(HOST)/ruff check --fix . && PATH="$(CURDIR)/$(HOST):$$PATH" npm --prefix labextension run format

.PHONY: env env-browser env-test
env:
	@.ci/debian base && /usr/bin/python3 .ci/environment.py

env-browser:
	@.ci/debian browser && /usr/bin/python3 .ci/environment.py

env-test:
	@.ci/debian base && { .ci/debian browser || echo "Without them the browser tests are skipped." >&2; }
	@.ci/debian ceph || echo "Without them the tests on Ceph are skipped." >&2
	@/usr/bin/python3 .ci/environment.py

dev:  ## as env, and the host environment takes its code from this checkout
	@.ci/debian browser && /usr/bin/python3 .ci/environment.py --dev

lock: env  ## write the lock files anew
	@.ci/lock

bench: env-browser  ## measure; the figures go to build/bench
	@PYTHONPATH=tests $(HOST)/python -m bench

campaign: env  ## kill and damage the data cache by the hundred, seeded; figures on the screen
	@PYTHONPATH=tests $(HOST)/python -P -m campaign cache

clean:  ## remove what was built here (the cache folder stays)
	@rm -rf build labextension/node_modules labextension/lib jupyter_alc/labextension
