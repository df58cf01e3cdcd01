SHELL := /bin/bash
UV := $(shell command -v uv || echo .uv/bin/uv)
RUN := $(UV) run --locked
LK := $(RUN) lmcache-kserve
OUT ?= out
VERSION = $(shell sed -n 's/^appVersion: "\(.*\)"/\1/p' charts/lmcache-kserve/Chart.yaml)
IMAGE ?= lmcache-kserve/vllm-cpu:$(VERSION)

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

.PHONY: test
test: $(UV) ## Unit and chart tests
	$(RUN) pytest -n 2 --dist worksteal

.PHONY: test-local
test-local: $(UV) ## The proof with the real engine, for each way to configure it
	$(RUN) pytest tests/local

.PHONY: test-cluster
test-cluster: $(UV) ## The proof on the cluster that KUBECONFIG names; docs/cluster.md says what it needs
	$(RUN) pytest tests/cluster

.PHONY: image
image: ## Build the CPU image $(IMAGE), and with the test model inside $(IMAGE)-tiny; try the latter
	docker build $(IMAGE_ARGS) --build-arg VERSION=$(VERSION) --target server --tag $(IMAGE) images/vllm-cpu
	docker build $(IMAGE_ARGS) --build-arg VERSION=$(VERSION) --target tiny --tag $(IMAGE)-tiny images/vllm-cpu
	images/vllm-cpu/smoke $(IMAGE)-tiny

.PHONY: lint
lint: $(UV) ## Formatting, lint and types
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) mypy
	$(RUN) yamllint --strict -c lintconf.yaml ct.yaml .github values charts/lmcache-kserve/values.yaml
	$(RUN) check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yaml
	$(RUN) zizmor --offline --quiet .github/workflows
	$(RUN) shellcheck .ci/run .ci/cluster images/vllm-cpu/smoke charts/lmcache-kserve/files/*.sh

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/pip install --quiet uv
