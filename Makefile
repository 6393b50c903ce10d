# What CI runs; see CONTRIBUTING.md.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
PLATFORMS = linux/amd64 linux/arm64 linux/arm darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

.PHONY: all lint test quickstart platforms
all: lint test quickstart platforms

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	go mod tidy -diff

test:
	go test -race -shuffle=on ./...

quickstart:
	go run ./examples/quickstart

platforms:
	@for p in $(PLATFORMS); do \
		echo "go build for $$p"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 go build ./... || exit 1; \
	done
