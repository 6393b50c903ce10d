# What CI runs; see CONTRIBUTING.md.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
PLATFORMS = linux/amd64 linux/arm64 linux/arm darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
MODULES = . bench/cluster bench/peers cluster/faulttest cluster/natsregistry cluster/natsserver \
	metrics metrics/otel examples/cluster/replica examples/grpc examples/ssh

FUZZTIME ?= 30s

.PHONY: all lint test modules quickstart soak bench platforms fuzz
all: lint test modules quickstart soak bench platforms

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	@for m in $(MODULES); do \
		(cd $$m && set -x && go vet ./... && go run $(STATICCHECK) ./... && go mod tidy -diff) || exit 1; \
	done

test:
	go test -race -shuffle=on ./...

# The tests of the modules within this one.
modules:
	@for m in $(filter-out .,$(MODULES)); do \
		(cd $$m && set -x && go test -race -shuffle=on -timeout 5m ./...) || exit 1; \
	done

quickstart:
	go run ./examples/quickstart

# Half a minute of what may run for hours.
soak:
	go run ./internal/cmd/soak -clients 100 -for 15s -keepalive 1s -pause 1s -every 3s -fault 2s -uptime 5s

# Each benchmark once, for it to be known to work. Its figures mean nothing.
bench:
	go test -run '^$$' -bench . -benchtime 1x -short ./bench
	for m in peers cluster; do (cd bench/$$m && go test -run '^$$' -bench . -benchtime 1x -short .) || exit 1; done

# All but the report, whose plots take longer to build than all the rest.
platforms:
	@packages=$$(go list -f '{{if .GoFiles}}{{.ImportPath}}{{end}}' ./... | grep -v /bench/report); for p in $(PLATFORMS); do \
		echo "go build for $$p"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 go build $$packages || exit 1; \
	done

# It takes a while, so it is not part of all.
fuzz:
	FUZZTIME=$(FUZZTIME) .ci/fuzz
