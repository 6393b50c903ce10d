// Soak makes a server ask many clients, over and over, while networks fail and servers
// come and go, and reports the results for each combination of carrier and multiplexer:
//
//	go run ./internal/cmd/soak                          1,000 clients, ten minutes
//	go run ./internal/cmd/soak -clients 20 -for 10s
//	go run ./internal/cmd/soak -storm                   2,000 clients, less than a minute
//
// Clients live at places, at most ten at each. A place has a network of its own (package
// faultnet), which has faults at random times. A seed repeats the times, places and
// faults, as far as the scheduler allows. At random times the next server takes over:
// clients move to it before they leave the previous one, or are cut off if that one
// crashes. An interrupt ends the run early, with the results so far.
//
// The exit status is 1 if
//
//   - a request was acknowledged but not delivered, or delivered twice, a stream ended
//     early without an error, or carried something that was not sent; where networks flip
//     bits and there is no TLS, a stream may do the latter two, which the workload
//     notices;
//   - a call took longer than four times the keepalive, plus the slack;
//   - a client is not back at the end, or a server has not shut down within a minute;
//   - at the end servers have other sessions than clients have, or goroutines or the heap
//     have grown, since all had just connected, by more than 1 % and 10 goroutines, or 15
//     % and 8 MiB;
//   - goroutines are left when everything is closed.
//
// With -storm all clients lose their server at once, and nothing listens for a while.
// Then they come back, spread as [transport.Backoff] makes them wait. Afterwards that
// server shuts down, and they move to the next one. Both are shown row by row, beside the
// expected numbers. The exit status is 1 if
//
//   - more clients arrive in a row than twice the fullest expected row, plus the scatter
//     of small numbers, plus those that a stall of the machine delayed;
//   - they are not all back after the longest wait, a handshake, and the slack;
//   - one is without a session while it moves;
//   - goroutines are left when everything is closed.
//
// A client uses four descriptors with its network and two without, and twice that while
// it moves. Soak does not start if the process may not have as many.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("soak: ")
	o := defaults()
	o.flags()
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("%q is not a flag, and there are no other arguments", flag.Arg(0))
	}
	if err := o.check(); err != nil {
		log.Fatal(err)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	run := soak
	if o.storm {
		run = storm
	}
	if err := run(ctx, o, os.Stdout, newProgress(os.Stderr)); err != nil {
		log.Fatal(err)
	}
}
