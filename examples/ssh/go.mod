module github.com/backdial/backdial/examples/ssh

go 1.26.0

replace github.com/backdial/backdial => ../..

require (
	github.com/backdial/backdial v0.1.0
	golang.org/x/crypto v0.58.0
)

require (
	github.com/gorilla/websocket v1.5.3 // indirect
	go.uber.org/goleak v1.3.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
