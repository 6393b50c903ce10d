# What CI runs; see CONTRIBUTING.md.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
APIDIFF = golang.org/x/exp/cmd/apidiff@v0.0.0-20261113113407-e3970619a1a4
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0
CYCLONEDX = github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
PLATFORMS = linux/arm64 linux/arm darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
MODULES = $(sort $(patsubst %/,%,$(dir $(shell git ls-files go.mod '*/go.mod'))))

FUZZTIME ?= 30s

# Tests that import it have parts that wait for BACKDIAL_LONG.
LONG = github.com/backdial/backdial/internal/test/long

MUXES = ./mux/nativemux ./mux/qmux ./mux/smuxmux ./mux/yamuxmux

# What runs on a device.
PRODUCT = ./carrier/mem ./carrier/ws ./carrier/webtransport ./mux/internal/... $(MUXES) ./rhttp ./transport

.PHONY: all lint api vuln sbom test long contracts steady small modules quickstart soak bench platforms fuzz docs
all: lint api vuln test long contracts steady small modules quickstart soak bench platforms

# A workspace of all modules, for one call of each tool.
lint:
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	@for m in $(MODULES); do (cd $$m && go mod tidy -diff) || exit 1; done
	@work=$$(mktemp -d) && trap 'rm -r "$$work"' EXIT && \
	(cd "$$work" && go work init $(MODULES:%="$(CURDIR)/%")) && export GOWORK="$$work/go.work" && set -x && \
	go vet $(MODULES:%=./%/...) && go run $(STATICCHECK) $(MODULES:%=./%/...)

# What has changed in the API since the last release.
api:
	APIDIFF=$(APIDIFF) .ci/api

# Known vulnerabilities in what the published modules call.
vuln:
	GOVULNCHECK=$(GOVULNCHECK) .ci/vuln

# What each published module requires, in bin/sbom.
sbom:
	mkdir -p bin/sbom
	for m in $$(go run ./internal/cmd/release -list); do \
		go run $(CYCLONEDX) mod -json -type library -output bin/sbom/$$(basename "$$(cd $$m && go list -m)").json $$m || exit 1; \
	done

# The test command, as README.md has it.
test:
	@set -x; $$(grep -m 1 '^go test ' README.md)

# What takes long: planted faults, every combination, proxies, browsers, and what the race
# detector is too slow for. It leaves out packages that have no such tests. Mostly they wait, so
# more run at a time than there are processors. The last in the alphabet take longest, and begin
# first.
long:
	BACKDIAL_LONG=1 go test -shuffle=on -timeout 20m -p 4 $$(go list -test -f '{{$$p := .ImportPath}}{{range .Deps}}{{if eq . "$(LONG)"}}{{$$p}}{{end}}{{end}}' ./... | sed -n 's/\.test$$//p' | sort -r)

# What make test has shortened of the contracts, under the race detector: all that a multiplexer
# promises, and the combinations that are not the fastest. These take longest, and begin first.
contracts:
	BACKDIAL_LONG=1 go test -race -timeout 20m -p 4 -run 'TestContract|TestStacks|TestFaults' -skip '/(ws-qmux|webtransport-native|SteadyReaders)$$' \
		./transport/transporttest ./transport/faulttest $(MUXES)

# Slow readers under the race detector. They would be too slow beside other tests.
steady:
	BACKDIAL_LONG=1 go test -race -timeout 20m -p 4 -run 'TestContract/SteadyReaders|TestSteadyReaders|TestBursts|TestAbandoned|TestTrickle|TestBothWays' $(MUXES)

# On a small machine: one processor, 256 descriptors, 32 bits. Only what a device or a server
# runs, and not the tests of tests.
small:
	ulimit -n 256 && GOMAXPROCS=1 GOARCH=386 CGO_ENABLED=0 go test -timeout 20m -p 4 $(PRODUCT) ./cluster ./fleet ./internal/relay

# The tests of the modules within this one.
modules:
	@printf '%s\n' $(filter-out .,$(MODULES)) | \
		xargs -P 3 -I {} sh -c 'cd {} && go test -race -shuffle=on -timeout 10m ./...'
	cd mux/libp2ptest && go test -run TestNative . # what is skipped under the race detector

quickstart:
	go run ./examples/quickstart

# Half a minute of what may run for hours.
soak:
	go run ./internal/cmd/soak -clients 100 -for 15s -keepalive 1s -pause 1s -every 3s -fault 2s -uptime 5s

# Each benchmark once, for it to be known to work. Its figures mean nothing.
bench:
	@printf '%s\n' bench bench/peers bench/cluster | xargs -P 3 -I {} sh -c 'cd {} && \
		{ out=$$(go test -run "^$$" -bench . -benchtime 1x -short . 2>&1) || { echo "$$out"; exit 1; }; } && \
		echo "every benchmark of {} has run once"'

# Compiles everything for each platform, and links one program that uses most of it. To link all
# programs would take as long as to compile them, and they have neither C nor assembly of their own.
platforms:
	@packages=$$(go list -f '{{if .GoFiles}}{{.ImportPath}}{{end}}' ./...); for p in $(PLATFORMS); do \
		echo "go build for $$p"; \
		export GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0; \
		nice go list -export $$packages >/dev/null && nice go build -o /dev/null ./internal/cmd/soak || exit 1; \
	done

# It takes a while, so it is not part of all.
fuzz:
	FUZZTIME=$(FUZZTIME) .ci/fuzz

# The pages of README.md and docs as a site, in the folder site.
docs:
	cd internal/cmd/site && go run . -out "$(CURDIR)/site"
