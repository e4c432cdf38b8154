# `make help` says what there is.
SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

STACK ?= examples/universal.yaml
AUDIO ?= examples/audio/en_derived_pauses_1688.wav
MODEL ?=
PORT_OFFSET ?= 0
SESSIONS ?= 1,2,4,8
# Recordings of `make bench`: a folder with manifest.jsonl.
STREAMINGSTACK_AUDIO ?= $(if $(wildcard ../shared/audio/manifest.jsonl),../shared/audio,examples/audio)
BENCH = streamingstack bench --audio '$(STREAMINGSTACK_AUDIO)' --port-offset $(PORT_OFFSET) --markdown docs/benchmarks.md
PYTEST_ARGS ?=

BIN := .venv/bin
SOURCES := packages services cli bench
PATH := $(CURDIR)/$(BIN):$(PATH):/usr/sbin:/usr/local/sbin
export PATH STREAMINGSTACK_AUDIO

.PHONY: help setup run up test check lint types imports contract bench clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile
	@printf '\n  STACK=%s\n  AUDIO=%s\n  MODEL=%s\n  PORT_OFFSET=%s\n' '$(STACK)' '$(AUDIO)' '$(or $(MODEL),the stack'"'"'s default)' '$(PORT_OFFSET)'

setup:  ## Install everything: Python packages with tests and tools, nginx
	@scripts/setup dev

run:  ## Set up, start the whole stack, stream AUDIO through it, stop: STACK= AUDIO= MODEL=
	@scripts/setup run
	@streamingstack run '$(STACK)' --audio '$(AUDIO)' --port-offset $(PORT_OFFSET) $(if $(MODEL),--model '$(MODEL)')

up:  ## Set up and keep the whole stack running until Ctrl-C: STACK= PORT_OFFSET=
	@scripts/setup run
	@exec streamingstack up '$(STACK)' --port-offset $(PORT_OFFSET)

test: check  ## Set up, check everything, run every test: PYTEST_ARGS=
	@echo 'test: pytest'
	@pytest -q $(PYTEST_ARGS)

check: setup lint types imports contract  ## Lint, formatting, types, import rules, protobuf

lint:
	@echo 'check: ruff'
	@ruff check -q .
	@ruff format -q --check .

types:
	@echo 'check: mypy'
	@mypy --no-error-summary $(wildcard $(addsuffix /*/src,packages services)) cli/src bench/src

imports:
	@echo 'check: import rules'
	@lint-imports --no-cache >.venv/import-rules.txt || { cat .venv/import-rules.txt; exit 1; }

contract:
	@echo 'check: protobuf'
	@buf lint

bench: setup  ## Measure 1, 2, 4, 8 real-time sessions and memory, write docs/benchmarks.md: STACK= SESSIONS=
	@$(BENCH) --up '$(STACK)' --sessions '$(SESSIONS)' --section load --plot docs/benchmarks.png --max-wer-gap 1
	@$(BENCH) --up examples/minimal.yaml --sessions 2 --clips 8 --section one --title 'One model' --max-pss 1.2
	@$(BENCH) --up examples/all-models.yaml --sessions 2 --clips 8 --section three --title 'Three models' --max-pss 2.5 \
		--speech-model universal-streaming-english --speech-model universal-streaming-multilingual \
		--speech-model universal-3-5-pro

clean:  ## Remove the environment, caches and the state of local stacks
	@rm -rf .venv .bootstrap .state .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
