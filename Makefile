# astern's commands. `make help` lists them. Everything is built without cgo; tools are pinned in tools/<tool>/go.mod.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export CGO_ENABLED ?= 0
export GOTOOLCHAIN ?= local

BIN  := bin
# TEST runs the tests; .ci/run puts tools/tally here, which counts them.
TEST ?= go test
# VERSION names the images.
VERSION ?= dev
LINT := go tool -modfile=tools/golangci-lint/go.mod golangci-lint

# CLUSTERED are the packages with tests against a real Kubernetes control plane.
CLUSTERED = $(sort $(dir $(addprefix ./,$(shell grep -rl --include='*_test.go' '^//go:build cluster$$' actions charts engine tools))))

.PHONY: help demo demo-keep build image test e2e cluster crash race fuzz lint format generate bench neighbours neighbours-cluster clean

help: ## List what make can do
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Show the main job with a real Prometheus, Alertmanager and HAProxy; about a minute
	@go build -o $(BIN)/demo ./examples/demo
	@exec $(BIN)/demo

demo-keep: ## The same, and leave it running until Ctrl-C
	@go build -o $(BIN)/demo ./examples/demo
	@exec $(BIN)/demo --keep

build: ## Build bin/astern, one static binary
	go build -trimpath -ldflags "-s -w" -o $(BIN)/astern ./cmd/astern

image: build ## Make container images without a container daemon: from scratch, and one with git and helm
	@go run ./tools/image -tag astern:$(VERSION) -version $(VERSION) -out $(BIN)/astern-image.tar
	@go run ./tools/image -tag astern:$(VERSION)-git -version $(VERSION) -out $(BIN)/astern-git-image.tar -git -helm "$$(go run ./tools/neighbours/get helm)"

test: neighbours ## Run all tests but the crash and end-to-end ones, in random order
	$(TEST) -shuffle=on -tags neighbours -timeout 15m ./...

cluster: neighbours-cluster ## Run the tests against a real Kubernetes control plane
	$(TEST) -shuffle=on -tags cluster -run '^TestCluster' -p 2 -timeout 15m $(CLUSTERED)

e2e: neighbours neighbours-cluster ## Run the end-to-end tests: real alerts, real traffic
	$(TEST) -shuffle=on -tags e2e -run '^TestE2E' -parallel 5 -timeout 20m ./cmd/astern/...

crash: ## Kill the process at random moments, 1,000 times, and look what is lost or doubled
	@mkdir -p $(BIN) && rm -f $(BIN)/figures
	ASTERN_CRASH_KILLS=$${ASTERN_CRASH_KILLS:-1000} ASTERN_FIGURES=$(CURDIR)/$(BIN)/figures \
	$(TEST) -shuffle=on -tags crash -run '^TestCrash' -timeout 30m ./...
	@cat $(BIN)/figures
	$(TEST) -run '^TestModel$$' -timeout 10m ./engine/incident -rapid.checks=20000

race: ## Run the engine's and the web's tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(TEST) -race -shuffle=on -timeout 20m ./engine/... ./web/...

fuzz: ## Fuzz each decoder for some seconds
	.ci/fuzz 5s

lint: ## Check format and code
	@go vet -tags neighbours,cluster,e2e,crash ./...
	@! go list -deps ./cmd/astern | grep -F k8s.io/client-go/kubernetes/scheme # every type of Kubernetes: 19 MB
	$(LINT) run

format: ## Format the code
	$(LINT) fmt

generate: ## Write what is generated: docs/actions.md and the like
	go generate ./...

bench: ## Measure, and print lines "ratio NAME VALUE"
	@go build -trimpath -ldflags "-s -w" -o $(BIN)/astern ./cmd/astern && go build -o $(BIN)/bench ./tools/bench
	@$(BIN)/bench
	@go test -run '^$$' -bench . -benchtime 1x -timeout 20m ./engine/... | grep -E "^(ratio|p50|p99|Benchmark|ok|FAIL|panic|---)"

neighbours: ## Find or make Prometheus, Alertmanager and HAProxy
	@go run ./tools/neighbours/get prometheus promtool alertmanager haproxy > /dev/null

neighbours-cluster: ## Find or make a Kubernetes control plane, Flux and Helm; the first time about 20 minutes
	@go run ./tools/neighbours/get etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubectl kwok ip nft kustomize-controller helm > /dev/null

clean: ## Remove what was built here (the neighbours stay in the cache)
	rm -rf $(BIN)
