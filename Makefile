# What a developer runs. `make test` is what CI runs.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
TOOLS   := bin/tools
FUZZTIME ?= 20s

.PHONY: help
help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

.PHONY: build
build: ## build bin/berth, a static binary
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/berth ./cmd/berth

.PHONY: run
run: build ## build, then serve with the data in ./data
	./bin/berth serve --data ./data

.PHONY: test
test: prepare lint test-sqlite test-race test-postgres test-bench test-conformance ## everything; installs what it needs

.PHONY: test-sqlite
test-sqlite: ## the tests on SQLite: fast, needs nothing
	go test ./...

.PHONY: test-race
test-race: ## the tests of the packages under the race detector
	CGO_ENABLED=1 go test -race ./internal/...

.PHONY: test-postgres
test-postgres: ## the tests on a PostgreSQL server of their own
	BERTH_TEST_DATABASE=postgres TEST_REQUIRE=postgres,mount go test ./...

.PHONY: test-bench
test-bench: build ## the load driver, at a hundredth of its size
	cd bench && BERTH_BINARY=$(CURDIR)/bin/berth go test -count=1 ./...

.PHONY: test-conformance
test-conformance: build ## real clients, kills and power cuts against the real binary
	conformance/install.sh
	cd conformance && BERTH_BINARY=$(CURDIR)/bin/berth TEST_REQUIRE=clients,mount,postgres,kube go test -count=1 -timeout 30m ./...

.PHONY: lint
lint: tools ## gofmt, go vet, staticcheck and the analyzers of tools/vet
	scripts/lint.sh $(TOOLS)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (20s)
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: build ## Berth beside another registry: about an hour on a quiet machine
	@mkdir -p bench/bin && cp bin/berth bench/bin/
	GOBIN=$(CURDIR)/bench/bin CGO_ENABLED=0 go install github.com/distribution/distribution/v3/cmd/registry@v3.1.2
	cd bench && go build -o bin/bench . && bin/bench run -targets targets.json -names distribution,berth -out results.jsonl && bin/bench table results.jsonl

.PHONY: prepare
prepare: # a C compiler and PostgreSQL, where they are missing
	scripts/prepare.sh

# The versions are those of tools/go.mod.
.PHONY: tools
tools: $(TOOLS)/staticcheck $(TOOLS)/vet

$(TOOLS)/staticcheck: tools/go.mod tools/go.sum
	cd tools && go build -o $(CURDIR)/$@ honnef.co/go/tools/cmd/staticcheck

$(TOOLS)/vet: tools/go.mod tools/go.sum $(wildcard tools/vet/*.go)
	cd tools && go build -o $(CURDIR)/$@ ./vet
