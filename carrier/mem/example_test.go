package mem_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/carrier/mem"
)

func Example() {
	network := mem.New()
	endpoint, err := network.Listen("server", nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols, _ := network.Offer(r)
		conn, err := network.Upgrade(w, r, protocols[0])
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "welcome to %s", r.URL.Path)
		conn.(carrier.CloseWriter).CloseWrite()
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer endpoint.Close()
	go endpoint.Serve()

	conn, err := network.Dial(context.Background(), &carrier.Request{
		URL:       &url.URL{Scheme: "mem", Host: "server", Path: "/lobby"},
		Protocols: []string{"chat.v2", "chat.v1"},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	greeting, err := io.ReadAll(conn)
	fmt.Printf("%s: %q, %v\n", conn.Protocol(), greeting, err)

	// Output: chat.v2: "welcome to /lobby", <nil>
}
