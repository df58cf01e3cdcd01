SHELL := /bin/bash
UV := $(shell command -v uv || echo .uv/bin/uv)
RUN := $(UV) run --locked
LK := $(RUN) lmcache-kserve
OUT ?= out
SEED ?= $(shell date +%s)
MINUTES ?= 20
VERSION = $(shell sed -n 's/^appVersion: "\(.*\)"/\1/p' charts/lmcache-kserve/Chart.yaml)
IMAGE ?= lmcache-kserve/vllm-cpu:$(VERSION)
CLUSTER ?= lmcache-kserve
# Where links of the documentation site lead that are no pages of it.
REPOSITORY_URL ?= https://example.com/lmcache-kserve
KIND_UP = LMCACHE_KSERVE_HELM="$$($(RUN) python -c 'from lmcache_kserve.chart import helm_binary; print(helm_binary.helm())')" \
	scripts/kind-up --name $(CLUSTER) $(CLUSTER_ARGS)
# As many arms and loads as two cores should measure in 40 minutes.
COMPARE_PRESET = --engine-cache-tokens 4096 --prompt-tokens 512 --prompt-tokens 2048 --concurrency 1 --concurrency 4 \
	--backend none --backend redis --backend filesystem --backend lmcache-server
# Pulled before the tests: a node would otherwise pull an image in the middle of a test.
BACKEND_IMAGES = $(shell awk '/^ +image: .*(redis|valkey|haproxy)/ {print $$2}' charts/lmcache-kserve/Chart.yaml)

# These need more of a cluster than the others: Prometheus Operator, and the second one KEDA too.
OPERATIONS = tests/cluster/test_operations.py
SCALING = tests/cluster/test_scaling.py

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-14s %s\n", $$1, $$2}'

.PHONY: demo
demo: $(UV) ## Run the rendered chart on this machine and prove the shared cache; report in $(OUT)/
	$(LK) demo --out $(OUT) $(DEMO_ARGS)

.PHONY: record
record: demo ## Run the demo and put its report and plot where the README quotes them
	mkdir -p docs/reports docs/images
	cp $(OUT)/report.json docs/reports/demo.json
	cp $(OUT)/ttft.svg docs/images/ttft.svg

.PHONY: scale-out
scale-out: $(UV) ## Measure the first requests of a new replica, and put report and plot where the docs quote them
	$(LK) demo --out $(OUT) --scale-out $(DEMO_ARGS)
	cp $(OUT)/report.json docs/reports/scale-out.json
	cp $(OUT)/scale-out.svg docs/images/scale-out.svg

.PHONY: faults
faults: $(UV) ## Break every backend in every mode and write docs/faults.md; FAULTS_ARGS='--backend redis --mode multiprocess' for one
	# The table is whole after each row, so an interrupted run goes on where it ended.
	rm -f $(OUT)/faults.json
	$(LK) faults --out $(OUT) $(addprefix --earlier ,$(wildcard docs/reports/faults.json)) $(FAULTS_ARGS); code=$$?; \
	[ ! -f $(OUT)/faults.json ] || { cp $(OUT)/faults.json docs/reports/faults.json && cp $(OUT)/faults.md docs/faults.md; }; \
	$(RUN) scripts/promises.py; exit $$code

.PHONY: soak
soak: $(UV) ## Soak a release for MINUTES=20 and write docs/soak.md; SEED=N repeats a schedule, SOAK_ARGS='-f FILE' for values
	$(LK) soak --minutes $(MINUTES) --seed $(SEED) --out $(OUT)/soak $(SOAK_ARGS); code=$$?; \
	[ $$code -gt 1 ] || { cp $(OUT)/soak/soak.json docs/reports/soak.json && cp $(OUT)/soak/soak.md docs/soak.md; }; \
	exit $$code

.PHONY: rates
rates: $(UV) ## Measure how fast each backend moves chunks, and write docs/rates.md; RATES_ARGS='--backend redis' for one
	$(LK) compare --backend-only --out $(OUT)/rates $(RATES_ARGS); code=$$?; \
	[ $$code -gt 1 ] || { cp $(OUT)/rates/rates.json docs/reports/rates.json && cp $(OUT)/rates/rates.md docs/rates.md; }; \
	exit $$code

.PHONY: compare
compare: $(UV) ## Put the same loads on every cache, and write docs/performance.md; COMPARE_ARGS='--backend redis' for one
	# Only a comparison that is whole, with every answer right, becomes the page.
	$(LK) compare --out $(OUT)/compare $(addprefix --against ,$(wildcard docs/reports/compare.json)) $(COMPARE_PRESET) $(COMPARE_ARGS)
	cp $(OUT)/compare/compare.json docs/reports/compare.json
	cp $(OUT)/compare/performance.md docs/performance.md
	cp $(OUT)/compare/compare-load.svg $(OUT)/compare/compare-break-even.svg docs/images/

.PHONY: engines
engines: $(UV) ## Prove every engine in every mode and write docs/compatibility.md; ENGINES_ARGS=NAME for one
	$(LK) engines prove --out $(OUT)/engines $(ENGINES_ARGS); code=$$?; $(RUN) scripts/engines_page.py && exit $$code

.PHONY: matrix
matrix: $(UV) ## Write the tables of what was proven, of the checks, and of the engines
	$(RUN) scripts/matrix.py
	$(RUN) scripts/checks.py
	$(RUN) scripts/engines_page.py
	$(RUN) scripts/promises.py

.PHONY: compatibility
compatibility: $(UV) ## Write the chart's table of images and their releases, from engines/engines.yaml
	$(RUN) scripts/compatibility.py

.PHONY: test
test: $(UV) ## Unit and chart tests, the chart by the newest Helm; PYTEST_ARGS=--every-helm for each
	$(RUN) pytest -n 2 --dist worksteal $(PYTEST_ARGS)

.PHONY: test-values
test-values: $(UV) ## Each of 14 wrong values in the place of each value, and 2,000 random sets of several; SEED=N repeats a run
	$(RUN) pytest -n 2 --dist worksteal tests/values tests/chart/test_any_value.py --examples 2000 \
		--hypothesis-seed=$(SEED) $(PYTEST_ARGS)

.PHONY: test-alerts
test-alerts: $(UV) ## Every alert's life by Prometheus' promtool; needs promtool (Debian: apt install prometheus)
	$(RUN) pytest -n 2 tests/alerts $(PYTEST_ARGS)

.PHONY: test-local
test-local: $(UV) ## The proof with the real engine, for each way to configure the cache
	$(RUN) pytest tests/local $(PYTEST_ARGS)

.PHONY: test-engines
test-engines: $(UV) ## What the chart renders, put to the parsers of each engine's own releases
	$(RUN) pytest tests/engines $(PYTEST_ARGS)

.PHONY: cluster
cluster: $(UV) ## A kind cluster with KServe and the images of the tests; needs docker, kind and kubectl
	$(KIND_UP)
	$(MAKE) image
	kind load docker-image --name $(CLUSTER) $(IMAGE)-tiny
	for image in $(BACKEND_IMAGES); do docker exec $(CLUSTER)-control-plane crictl pull "$$image" || exit; done

.PHONY: test-cluster
test-cluster: $(UV) $(if $(KUBECONFIG),,cluster) ## The proof on the cluster of KUBECONFIG, or else of `make cluster`
	$(if $(KUBECONFIG),,settings="$$($(KIND_UP))" && eval "$$settings" &&) $(RUN) pytest tests/cluster \
		$(addprefix --ignore=,$(OPERATIONS) $(SCALING)) $(PYTEST_ARGS)

.PHONY: test-operations
test-operations: $(UV) ## Targets, series, panels and alerts on the cluster of KUBECONFIG, which has Prometheus Operator
	$(RUN) pytest $(OPERATIONS) --durations=10 $(PYTEST_ARGS)

.PHONY: test-scaling
test-scaling: $(UV) ## Scaling by KEDA, and the warm-up, on the cluster of KUBECONFIG, which has Prometheus Operator and KEDA
	$(RUN) pytest $(SCALING) --durations=10 $(PYTEST_ARGS)

.PHONY: cluster-down
cluster-down: ## Remove the cluster that `make cluster` made
	scripts/kind-down --name $(CLUSTER)

.PHONY: image
image: ## Build the CPU image $(IMAGE), and $(IMAGE)-tiny with the test model; try the second
	docker build $(IMAGE_ARGS) --build-arg VERSION=$(VERSION) --target server --tag $(IMAGE) images/vllm-cpu
	docker build $(IMAGE_ARGS) --build-arg VERSION=$(VERSION) --target tiny --tag $(IMAGE)-tiny images/vllm-cpu
	images/vllm-cpu/smoke $(IMAGE)-tiny

.PHONY: lint
lint: $(UV) ## Formatting, lint, types, and that the tests which `make test` leaves out can be collected
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) mypy
	$(RUN) pytest --collect-only -qq tests/alerts tests/cluster tests/engines tests/local tests/values
	$(RUN) yamllint --strict -c lintconf.yaml ct.yaml mkdocs.yml .github values charts/lmcache-kserve/values.yaml
	$(RUN) check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yaml
	$(RUN) check-jsonschema --builtin-schema vendor.renovate renovate.json
	$(RUN) zizmor --offline --quiet .github/workflows
	$(RUN) shellcheck -x .ci/run .ci/cluster images/vllm-cpu/smoke scripts/kind-up scripts/kind-down \
		scripts/kind-operators scripts/kind-common.sh \
		charts/lmcache-kserve/files/*.sh

.PHONY: docs
docs: $(UV) ## Build the documentation site in out/docs/site; a broken link or anchor fails
	$(RUN) scripts/docs_site.py out/docs/pages $(REPOSITORY_URL)
	# Not --quiet, which keeps the warnings from --strict.
	NO_MKDOCS_2_WARNING=1 REPOSITORY_URL=$(REPOSITORY_URL) $(RUN) mkdocs build --strict

.PHONY: dist
dist: $(UV) ## Make the files of a release in dist/: DIST_ARGS='--tag v0.2.0 --repository https://github.com/OWNER/NAME'
	$(RUN) scripts/release.py --out dist $(DIST_ARGS)

.PHONY: lint-chart
lint-chart: $(UV) ## The chart, by chart-testing; needs ct and helm
	$(RUN) ct lint --config ct.yaml --all

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/pip install --quiet uv
