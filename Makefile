# The verbs. Everything is made below build/ and the cache folder ($ALC_CACHE, else ~/.cache/jupyter-alc).
SHELL := /bin/sh
HOST := build/env/host/bin
export PYTHONSAFEPATH := 1
unexport PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH VIRTUAL_ENV

.PHONY: help demo up test check format env dev lock bench campaign docs clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo: env-browser  ## set up, start the whole system and run the main job (ARCHIVE=ceph: on Ceph's S3); with a terminal it stays up
	@if [ "$(ARCHIVE)" = ceph ]; then .ci/debian ceph; fi
	@PYTHONPATH=tests $(HOST)/python -m day --archive $(or $(ARCHIVE),embedded)

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
	@.ci/debian web || echo "Without them the tests on nginx are skipped." >&2
	@/usr/bin/python3 .ci/environment.py

dev:  ## as env, and the host environment takes its code from this checkout
	@.ci/debian browser && /usr/bin/python3 .ci/environment.py --dev

lock: env  ## write the lock files anew
	@.ci/lock

bench: bench-$(or $(PART),system)  ## measure; the figures go to build/bench (PART=reading: the mount beside its peers)

.PHONY: bench-system bench-reading
bench-system: env-browser
	@PYTHONPATH=tests $(HOST)/python -m bench

bench-reading: env
	@.ci/debian ceph && .ci/debian peers
	@PYTHONPATH=tests $(HOST)/python -m bench.reading --runs $(or $(RUNS),5) $(if $(PUBLISH),--publish)

campaign: env-test  ## kills, flipped bits, faults by the thousand, an archive that is away; seeded, a quarter to half an hour; RESUME=1 goes on
	@PYTHONPATH=tests $(HOST)/python -P -m campaign --to build/campaign.jsonl $(if $(RESUME),--resume)

clean:  ## remove what was built here (the cache folder stays)
	@rm -rf build labextension/node_modules labextension/lib jupyter_alc/labextension
