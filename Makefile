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
# How many of them turn-quality plays; empty: all.
TURN_CLIPS ?= 24
BENCH = streamingstack bench --audio '$(STREAMINGSTACK_AUDIO)' --port-offset $(PORT_OFFSET) --markdown docs/benchmarks.md
TURNS = python -m streamingstack_bench.turn_quality --audio '$(STREAMINGSTACK_AUDIO)' $(if $(TURN_CLIPS),--clips $(TURN_CLIPS)) \
	--port-offset $(PORT_OFFSET) --markdown docs/benchmarks.md
PYTEST_ARGS ?=
# Twice two cores: most tests wait for sockets and processes.
WORKERS ?= 4

BIN := .venv/bin
SOURCES := $(wildcard $(addsuffix /*/src,packages services)) cli/src bench/src operator/src operator/bench e2e/cluster/src scripts/imagebuild scripts/dashboards.py scripts/dashboard_panels.py scripts/chart.py scripts/sizes.py
TYPED_TESTS := $(wildcard packages/*/tests) $(addprefix services/,$(addsuffix /tests,asr license_proxy model_store)) cli/tests operator/tests e2e/local e2e/cluster/tests scripts/tests charts/tests
PATH := $(CURDIR)/$(BIN):$(PATH):/usr/sbin:/usr/local/sbin
export PATH STREAMINGSTACK_AUDIO WORKERS

.PHONY: help setup run up test e2e cluster-up cluster-down cluster-status chaos check lint sizes types imports contract generate bench turn-quality long-stream prompt-cost prior-turns steering failover placement images images-check clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile
	@printf '\n'
	@printf '  %-32s %s\n' \
		'STACK=$(STACK)' 'a StreamingStack; see examples/' \
		'AUDIO=FILE.wav' 'what run streams, else $(AUDIO)' \
		'MODEL=SPEECH_MODEL' 'what run asks for, else the default of the stack' \
		'PORT_OFFSET=$(PORT_OFFSET)' 'shifts every port: a second stack beside the first' \
		'SESSIONS=$(SESSIONS)' 'how many sessions at once bench measures' \
		'CHAOS_SECONDS=600 CHAOS_SEED=1' 'how long chaos lasts, and what it is drawn from' \
		'CHAOS_SESSIONS=100' 'scripted sessions of chaos; CHAOS_SPEECH=2 of real speech beside them' \
		'TURN_CLIPS=$(TURN_CLIPS)' 'recordings of turn-quality; empty: all' \
		'STREAMINGSTACK_AUDIO=FOLDER' 'recordings of benches and chaos, now $(STREAMINGSTACK_AUDIO)' \
		'IMAGES="gateway asr"' 'which images to build; REGISTRY= TAG= name them, PIN=yes pins bases by digest, PUSH=yes pushes' \
		'PYTEST_ARGS=' 'for pytest: paths, -k WORDS, -x, --durations=20' \
		'KUBERNETES=required' 'test fails where no Kubernetes cluster can be raised, and does not only say so' \
		'WORKERS=$(WORKERS)' 'tests without a stack that run side by side'

setup:  ## Install everything: Python packages with tests and tools, nginx
	@scripts/setup dev

run:  ## Set up, start the whole stack, stream AUDIO through it, stop: STACK= AUDIO= MODEL= PORT_OFFSET=
	@scripts/setup run
	@streamingstack run '$(STACK)' --audio '$(AUDIO)' --port-offset $(PORT_OFFSET) $(if $(MODEL),--model '$(MODEL)')

up:  ## Set up and keep the whole stack running until Ctrl-C: STACK= PORT_OFFSET=
	@scripts/setup run
	@exec streamingstack up '$(STACK)' --port-offset $(PORT_OFFSET)

test: check  ## Set up, check everything, run every test: PYTEST_ARGS= WORKERS=
	@scripts/test $(PYTEST_ARGS)

cluster-up: setup  ## Raise a Kubernetes cluster for tests, or mend it: CLUSTER=local|kind|current CALICO_DIR=
	@python -m e2e_cluster up

cluster-down:  ## Take it down; nothing is left but logs and caches
	@python -m e2e_cluster down

cluster-status:  ## What of it runs, where its kubeconfig and logs are
	@python -m e2e_cluster status

e2e: setup  ## Raise a Kubernetes cluster, build the images, run the tests on it: CLUSTER= CALICO_DIR= PYTEST_ARGS=
	@scripts/e2e $(PYTEST_ARGS)

chaos: setup  ## Kill, freeze and cut off parts of a stack under live sessions, write docs/chaos.md: CHAOS_SECONDS= ...
	@scripts/e2e --prepare
	@PYTHONPATH=e2e/chaos:e2e/kubernetes python -m e2e_chaos run

check: setup lint sizes types imports contract  ## Lint, formatting, lengths, types, import rules, protobuf

lint:  ## Of check: ruff, rules and formatting
	@echo 'check: ruff'
	@ruff check -q .
	@ruff format -q --check .

sizes:  ## Of check: how long modules and functions are
	@echo 'check: lengths'
	@python scripts/sizes.py $(SOURCES)

types:  ## Of check: mypy, sources and all tests but those of bench and load_balancer
	@echo 'check: mypy'
	@mypy --no-error-summary $(SOURCES) $(TYPED_TESTS)
	@mypy --no-error-summary e2e/kubernetes e2e/chaos # apart, as the next: each has a conftest of its own
	@MYPYPATH=services/gateway/tests mypy --no-error-summary services/gateway/tests e2e/conformance
	@MYPYPATH=services/gateway/tests:services/sync_api/tests mypy --no-error-summary --exclude '/(drivers|node_modules)/' e2e/clients # drivers have what they import elsewhere
	@MYPYPATH=services/gateway/tests:services/sync_api/tests mypy --no-error-summary services/sync_api/tests

imports:  ## Of check: which room may import which
	@echo 'check: import rules'
	@PYTHONPATH=scripts:e2e/chaos:e2e/kubernetes lint-imports --no-cache >.venv/import-rules.txt || { cat .venv/import-rules.txt; exit 1; }

contract:  ## Of check: the protobuf contract
	@echo 'check: protobuf'
	@buf lint

generate:  ## The custom resource definition and its reference page, pages of parameters and conformance, dashboards, chart
	@python -m stack_model.crd crds/streamingstacks.yaml
	@python -m stack_model.reference docs/reference/api.md
	@python -m streaming_gateway.parameters.reference docs/reference/parameters.md
	@python e2e/conformance/conformance_page.py
	@python scripts/dashboards.py
	@python scripts/chart.py

bench: setup  ## Measure 1, 2, 4, 8 real-time sessions and memory, write docs/benchmarks.md: STACK= SESSIONS=
	@$(BENCH) --up '$(STACK)' --sessions '$(SESSIONS)' --clips 12 --section load --plot docs/benchmarks.png
	@$(BENCH) --up examples/minimal.yaml --sessions 2 --section accuracy --title 'Accuracy, every English recording' \
		--max-wer-gap 1 --max-pss 1.2
	@$(BENCH) --up examples/all-models.yaml --sessions 2 --clips 8 --section three --title 'Three models' --max-pss 2.5 \
		--speech-model universal-streaming-english --speech-model universal-streaming-multilingual \
		--speech-model universal-3-5-pro

turn-quality: setup  ## Measure when turns end, with the end-of-turn model and without, write docs/benchmarks.md: TURN_CLIPS=
	@$(TURNS) --up examples/u3pro.yaml --speech-model universal-3-5-pro
	@$(TURNS) --up examples/universal.yaml --speech-model universal-streaming-multilingual --configuration balanced
	@$(TURNS) --up examples/minimal.yaml --max-excess-ms 500 --max-force-ms 500 --max-first-partial-ms 1500

long-stream: setup  ## One stream of three hours through real Whisper: memory, cost and words by quarter
	@python -m streamingstack_bench.long_stream --up examples/minimal.yaml --audio '$(STREAMINGSTACK_AUDIO)' \
		--port-offset $(PORT_OFFSET) --markdown docs/benchmarks.md --max-slowdown 1.25 --max-growth 1.25

prompt-cost: setup  ## What a prompt costs the model of u3-pro, by its length
	@python -m streamingstack_bench.prompt_cost --stack examples/u3pro.yaml --audio '$(STREAMINGSTACK_AUDIO)' \
		--markdown docs/benchmarks.md

prior-turns: setup  ## What the turns before do to the words of the next one, with the model of u3-pro
	@python -m streamingstack_bench.prior_turns --stack examples/u3pro.yaml --audio '$(STREAMINGSTACK_AUDIO)' \
		--markdown docs/benchmarks.md

steering: setup  ## What keyterms, prompts and updates change: names heard right, word error rate
	@python -m streamingstack_bench.steering --up examples/all-models.yaml --audio '$(STREAMINGSTACK_AUDIO)' \
		--port-offset $(PORT_OFFSET) --markdown docs/benchmarks.md

failover: setup  ## Real speech while recognisers are killed, frozen and drained: words lost or doubled, gaps
	@python -m streamingstack_bench.cuts --up examples/minimal.yaml --audio '$(STREAMINGSTACK_AUDIO)' \
		--port-offset $(PORT_OFFSET) --markdown docs/benchmarks.md

placement: setup  ## Simulate 20 gateways behind an ingress: sessions refused, and who finds a new gateway
	@python -m streamingstack_bench.placement_table --markdown docs/benchmarks.md

images: setup  ## Build the images into archives with bills of materials: IMAGES= REGISTRY= TAG= PIN= PUSH= BUILDER=
	@$(if $(STANDINS),STANDINS='$(STANDINS)' e2e/images/build,scripts/images) $(IMAGES) \
		$(if $(REGISTRY),--registry '$(REGISTRY)') $(if $(TAG),--tag '$(TAG)') $(if $(PIN),--pin) $(if $(PUSH),--push)

images-check: setup  ## Judge the images that were built: sizes, user, labels, contents, bills of materials
	@scripts/images --check $(IMAGES)
	@pytest -q -m images scripts/tests

clean:  ## Remove the environment, caches and the state of local stacks
	@rm -rf .venv e2e/clients/.venv e2e/clients/javascript/node_modules .bootstrap .state .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
