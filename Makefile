# The two commands: `make demo` shows Trireme at work on a real cluster, `make test` runs every
# test. Each installs what it needs; tools/setup says early and plainly what it cannot get.

CLUSTER ?= kind
REGISTRY ?=
PYTHON ?= python3
# A worker computes for three fifths of its time and waits for servers else, so that three keep two
# cores busy.
JOBS ?= 3
# A file at a time, since its tests share servers: those marked `long`, then in the order of
# `testpaths`, where the slow ones are first.
PARALLEL := --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder
VENV := .venv
BIN := $(VENV)/bin
OPTIMIZER := .venv-optimizer
RENDERED := echo pipeline demo-agent
CRD := crds/trireme.dev_agentdeployments.yaml
export PYTHONPATH := tests
export MYPYPATH := operator:tests:.
# Without bytecode, which some images' environment keeps Python from writing, each process that the
# tests start compiles a thousand modules first, for two seconds.
unexport PYTHONDONTWRITEBYTECODE
# As in the operator's image: on small matrices the threads of linear algebra wait for each other.
unit explore: export OPENBLAS_NUM_THREADS := 1

.PHONY: help
help: ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

# ------------------------------------------------------------------------------------ set-up

$(VENV)/.installed: requirements-dev.lock pyproject.toml tools/setup
	tools/setup $(PYTHON) $(VENV)
	@touch $@

.PHONY: setup
setup: $(VENV)/.installed ## Install Debian packages and the Python environment.

# -------------------------------------------------------------------------------- main job

.PHONY: demo
demo: setup ## Bring up a cluster, install Trireme, put an agent under load, watch it scale.
ifeq ($(CLUSTER),current)
	$(BIN)/python -m demo --cluster current --registry '$(REGISTRY)'
else
	$(BIN)/python -m cluster up
	$(BIN)/python -m cluster exec -- $(BIN)/python -m demo
endif

.PHONY: demo-down
demo-down: setup ## Remove the demo's cluster and every trace of it.
	$(BIN)/python -m cluster down

# ----------------------------------------------------------------------------------- tests

.PHONY: test
test: ## Run every test: lint, types, layers, generated files, unit, golden, integration, end to end.
	$(MAKE) --jobs=3 check cluster optimizer  # the cluster starts, and torch is fetched, while mypy computes
	$(MAKE) --jobs=2 unit optimizer-test  # the optimiser computes while the others wait
	$(MAKE) e2e

.PHONY: check
check: setup ## Lint, types, layers, generated files.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	tools/types $(VENV) -p trireme -p cluster -p load -p store -p demo -p bench -p e2e -m installation
	PYTHONPATH=operator $(BIN)/lint-imports

.PHONY: unit
unit: setup ## Unit, golden and integration tests: no cluster needed. Those that measure come last.
	$(BIN)/pytest $(PARALLEL) -m "not alone"
	$(BIN)/pytest -m alone $$(grep -rl --include='*.py' 'pytest\.mark\.alone' tests/integration)

.PHONY: explore
explore: setup ## Property tests alone, on a thousand examples drawn anew: what `make unit` does not try.
	$(BIN)/pytest --numprocesses=$(JOBS) --hypothesis-profile=explore -m hypothesis tests/unit

.PHONY: optimizer
optimizer: $(OPTIMIZER)/.installed ## Install the optimiser's own environment: torch, 5.3 GB, kept in the cache.

$(OPTIMIZER)/.installed: requirements-optimizer.lock pyproject.toml tools/optimizer-setup | setup
	tools/optimizer-setup $(VENV) $(OPTIMIZER)
	@touch $@

.PHONY: operator-image
operator-image: setup ## Build the operator's image, trireme/operator:dev, in the Docker engine that answers.
	$(BIN)/python -m cluster images operator

.PHONY: optimizer-image
optimizer-image: setup ## Build the image that optimises models, over one with torch: gigabytes, so when asked for.
	$(BIN)/python -m cluster images optimizer

.PHONY: optimizer-test
optimizer-test: optimizer ## The optimiser's tests, in its environment.
	$(OPTIMIZER)/bin/python -m pytest tests/optimizer

.PHONY: optimizer-bench
optimizer-bench: optimizer ## The optimiser on four real models, twelve minutes; results are in docs/benchmarks.md.
	$(OPTIMIZER)/bin/python -m bench.optimizer $(BENCH)

.PHONY: cluster
cluster: setup ## Bring up the local cluster, or mend and reuse the one there is.
	$(BIN)/python -m cluster up
	$(BIN)/python -m cluster load metrics-server store

.PHONY: e2e
e2e: cluster ## End-to-end tests on the local cluster: two at a time, then those that need it alone.
	$(BIN)/python -m cluster exec -- $(BIN)/python -m e2e
	$(BIN)/python -m cluster exec -- $(BIN)/pytest --durations=10 -m "not alone" --numprocesses=2 --dist=loadfile tests/e2e
	$(BIN)/python -m cluster exec -- $(BIN)/pytest --durations=10 -m alone tests/e2e

.PHONY: bench
bench: setup ## Benchmarks on the local cluster; their results are kept in docs/benchmarks.md.
	$(BIN)/python -m cluster up
ifneq ($(filter peers,$(BENCH)),)
	$(BIN)/python -m cluster load keda  # ten minutes the first time
endif
ifneq ($(filter optimized,$(BENCH)),)
	$(BIN)/python -m cluster load optimizer  # gigabytes
endif
	$(BIN)/python -m cluster exec -- $(BIN)/python -m bench $(BENCH)

# ------------------------------------------------------------------------------- generated

.PHONY: generate
generate: setup ## Write the generated files anew: the CRD, the chart's copy, docs/reference.md, pod fields, model_repository.
	$(BIN)/python tools/pod_fields.py > operator/trireme/admission/.new
	mv operator/trireme/admission/.new operator/trireme/admission/pod_fields.py
	$(BIN)/trireme crd > crds/.new
	mv crds/.new $(CRD)
	cp $(CRD) charts/trireme/files/
	$(BIN)/python tools/reference.py > docs/.new
	mv docs/.new docs/reference.md
	rm -rf model_repository
	for name in $(RENDERED); do \
	    $(BIN)/trireme render -f examples/$$name.yaml --repository model_repository/$$name; \
	done

.PHONY: lock
lock: setup ## Resolve the locked dependencies anew.
	$(BIN)/uv pip compile pyproject.toml -q --generate-hashes --no-annotate --python-version 3.11 --custom-compile-command 'make lock' -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml -q --generate-hashes --no-annotate --python-version 3.11 --custom-compile-command 'make lock' --extra dev -o requirements-dev.lock
	$(BIN)/uv pip compile pyproject.toml -q --generate-hashes --no-annotate --python-version 3.11 --custom-compile-command 'make lock' --extra dev --extra optimizer --extra optimizer-dev -c requirements-dev.lock -o requirements-optimizer.lock
	$(BIN)/uv pip compile pyproject.toml -q --generate-hashes --no-annotate --python-version 3.11 --custom-compile-command 'make lock' --extra optimizer --no-emit-package triton --no-emit-package nvidia-cusolver -c requirements-optimizer.lock -o images/torch/requirements.txt
	$(BIN)/uv pip compile images/store/requirements.in -q --generate-hashes --no-annotate --python-version 3.11 --custom-compile-command 'make lock' -c requirements-dev.lock -o images/store/requirements.txt
