package fleet_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/backdial/backdial/fleet"
	"github.com/backdial/backdial/transport"
)

// A backend asks a device by its ID, from any goroutine, whenever it wants.
func Example() {
	clients := fleet.New(fleet.ByHeader("DeviceId"))
	server := transport.NewServer(clients, transport.WithAuthorize(clients.Authorize))
	defer server.Close()
	web := httptest.NewServer(server)
	defer web.Close()
	go device(web.URL, "123")

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := clients.Wait(ctx, "123"); err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: clients.Transport()}
	answer, err := client.Get("http://123/status")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	fmt.Println(string(body), err)

	_, err = client.Get("http://124/status")
	fmt.Println(err)

	// Output:
	// 123 is fine <nil>
	// Get "http://124/status": fleet: client "124" is not connected, and was never seen
}

// device is on another machine, usually.
func device(url, id string) {
	lis, err := transport.DialAndListen(url, http.Header{"DeviceId": {id}})
	if err != nil {
		log.Fatal(err)
	}
	http.Serve(lis, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, id, " is fine") }))
}

// A page of a client that is connected: http://localhost:8080/123/.
func ExampleReverseProxy() {
	clients := fleet.New(fleet.ByHeader("DeviceId"))
	server := transport.NewServer(clients, transport.WithAuthorize(clients.Authorize))
	mux := http.NewServeMux()
	mux.Handle("/connect", server)
	mux.Handle("/", &fleet.ReverseProxy{Fleet: clients}) // behind a login
	log.Fatal(http.ListenAndServe(":8080", mux))
}

// A log of who comes and goes.
func ExampleFleet_Watch() {
	clients := fleet.New(fleet.ByHeader("DeviceId"))
	// …
	for change := range clients.Watch(context.TODO()) {
		if change.Gone == nil {
			log.Printf("%s has come, from %v", change.ID, change.Dialer.Info().RemoteAddr)
		} else {
			log.Printf("%s is gone: %v", change.ID, change.Gone)
		}
	}
}
