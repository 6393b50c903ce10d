package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/backdial/backdial/fleet"
)

// A row is a device on the page.
type row struct {
	ID, Carrier, Mux string
	RoundTrip        float64 // in milliseconds; 0 if unknown
	Since            time.Time
	Streams          int
}

// events sends a page the list of devices when one comes or goes, and every second.
func events(clients *fleet.Fleet, w http.ResponseWriter, r *http.Request) {
	changed := make(chan bool, 1)
	go func() { // ends with the request
		for range clients.Watch(r.Context()) {
			select {
			case changed <- true:
			default: // a message is pending anyway
			}
		}
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	for r.Context().Err() == nil {
		rows := []row{}
		for id, d := range clients.All() {
			i := d.Info()
			rows = append(rows, row{id, i.Carrier, i.Mux, 1000 * i.RoundTrip.Seconds(), i.Since, i.Streams})
		}
		slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.ID, b.ID) })
		data, _ := json.Marshal(rows)
		fmt.Fprintf(w, "data: %s\n\n", data)
		http.NewResponseController(w).Flush()
		select {
		case <-changed:
		case <-time.After(time.Second):
		case <-r.Context().Done():
		}
	}
}
