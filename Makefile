# Everything a contributor types. `make` alone lists it.

SHELL    := /bin/bash
export PATH := $(PATH):/usr/local/go/bin
GO       ?= go
FUZZTIME ?= 10s
SOAK     ?= 10
RELOADS  ?= 100

.DEFAULT_GOAL := help
.PHONY: help build test race bench bench-short demo fmt generate lint fuzz-short soak e2e setup

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build the programs into bin/, static, with the date of the commit
	CGO_ENABLED=0 $(GO) build -trimpath -tags urfave_cli_no_docs \
		-ldflags "-s -w -X main.releaseDate=$$(git log -1 --format=%cd --date=format:%Y/%m/%d 2>/dev/null || echo 1970/01/01)" \
		-o bin/ ./cmd/...

setup: ## Install what the tests need, where that is allowed, and name what is missing
	@scripts/setup-tests

test: setup lint ## Set up, lint, and run all tests, with the race detector too
	@GO="$(GO)" scripts/run-tests -timeout 15m ./...
	@cd bench && GO="$(GO)" ../scripts/run-tests -timeout 5m ./...
	@$(MAKE) --no-print-directory race

race: ## Run the tests with the race detector
	@if [ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v "$$($(GO) env CC)" >/dev/null; then \
		GO="$(GO)" scripts/run-tests -race -timeout 20m ./...; \
	else echo "SKIPPED: the race detector: it needs a C compiler"; fi

e2e: setup ## Run the end-to-end tests only, verbosely
	$(GO) test -count=1 -v -timeout 12m ./internal/e2e/

bench: ## Measure everything against other proxies, some minutes; samples and charts go to bin/bench
	@mkdir -p bin/bench
	cd bench && $(GO) run . all --json ../bin/bench/bench.json --plots ../bin/bench

bench-short: ## Measure against other proxies, one minute
	cd bench && $(GO) run . short

.PHONY: bench-runtime
bench-runtime: ## Measure what the Go runtime costs the workers, two minutes
	$(GO) test -count=1 -v -run 'TestStopTheWorld|TestChurn' ./internal/engine/ -stop-rounds 200 -churn-rounds 12 -churn-window 1s

demo: build ## Show Penstock in front of three small Redis servers
	@bin/penstock-demo -penstock bin/penstock

fmt: ## Format the code
	$(GO) run mvdan.cc/gofumpt -w .

generate: ## Compile the eBPF program; needs clang and llvm-strip
	@GO="$(GO)" scripts/generate-bpf

lint: ## Check format, vet, staticcheck and the layers
	@unformatted=$$($(GO) run mvdan.cc/gofumpt -l .) || exit 1; \
		if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	cd bench && $(GO) vet ./...
	$(GO) build -o bin/staticcheck honnef.co/go/tools/cmd/staticcheck && cd bench && ../bin/staticcheck ./...
	$(GO) test ./internal/archtest/

fuzz-short: ## Run every fuzz target for FUZZTIME (10s)
	@GO="$(GO)" scripts/fuzz-short $(FUZZTIME)

soak: ## Repeat the relay's property test SOAK times (10)
	$(GO) test -count=$(SOAK) -v -timeout 0 -run TestRelayIntegrity ./internal/e2e/

.PHONY: soak-reload
soak-reload: ## Reload RELOADS times (100) under a thousand sessions, some minutes; prints figures
	@GO="$(GO)" scripts/soak-reload $(RELOADS)

.PHONY: bench-reload
bench-reload: ## Compare what reloads do to live sessions with haproxy, a minute
	cd bench && $(GO) run . reload

.PHONY: bench-pollers
bench-pollers: ## Compare what pollers of the stats socket do to round trips with haproxy, some minutes
	cd bench && $(GO) run . pollers
