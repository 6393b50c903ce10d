// Soak has a server ask many clients, over and over, while networks fail and
// servers come and go, and tells what became of each combination of carrier and
// multiplexer:
//
//	go run ./internal/cmd/soak                          1,000 clients, ten minutes
//	go run ./internal/cmd/soak -clients 20 -for 10s
//	go run ./internal/cmd/soak -storm                   2,000 clients, less than a minute
//
// All clients are at places of ten at most, each behind a network of its own (package
// faultnet), which has a fault now and then. A seed repeats when, where and which,
// as far as the scheduler lets it. Now and then the next server takes over: clients
// move to it before they leave the last one, or are cut off if that crashes.
// Interrupt ends it early, with what is known by then.
//
// The exit status is 1 if
//
//   - a request was acknowledged and not delivered, or delivered twice, a stream
//     ended early without an error, or brought something that was not sent; but
//     where networks turn bits and there is no TLS, a stream may do the latter two,
//     which the workload notices;
//   - a call took longer than four times the keepalive, and the slack;
//   - a client is not back in the end, or a server has not shut down in a minute;
//   - servers have other sessions in the end than clients have, or goroutines or the
//     heap are more than when all had just connected, by more than 1 % and 10
//     goroutines, or 15 % and 8 MiB;
//   - goroutines are left when all is closed.
//
// With -storm all clients lose their server at once, and nothing listens for a
// while. Then they come back, spread as [transport.Backoff] has them wait. Afterwards
// that server shuts down, and they move to the next one. Both are shown row by row,
// beside what is to be expected. The exit status is 1 if
//
//   - more than twice as many clients come in a row as in the fullest that is
//     expected, and what chance makes of a few; more if the machine stood still;
//   - they are not all back after the longest wait, a handshake, and the slack;
//   - one is without a session while it moves;
//   - goroutines are left when all is closed.
//
// A client takes four descriptors through its network, two without, and twice that
// while it moves. Soak does not begin if the process may not have as many.
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
		log.Fatalf("%q is no flag, and nothing else is taken", flag.Arg(0))
	}
	if err := o.check(); err != nil {
		log.Fatal(err)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second one kills
	run := soak
	if o.storm {
		run = storm
	}
	if err := run(ctx, o, os.Stdout, newProgress(os.Stderr)); err != nil {
		log.Fatal(err)
	}
}
