module github.com/backdial/backdial/examples/grpc

go 1.26.0

replace github.com/backdial/backdial => ../..

require (
	github.com/backdial/backdial v0.1.0
	google.golang.org/grpc v1.85.0
)

require (
	github.com/gorilla/websocket v1.5.3 // indirect
	go.uber.org/goleak v1.3.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
