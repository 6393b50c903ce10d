// Deploy restarts a server again and again, while users ask its devices all the time.
// None of their requests fails.
//
// It is a demonstration. The code to copy is in server.go; socket.go shows how one
// process hands its socket to the next. To run the server alone, and to restart it:
//
//	go build -o server ./examples/deploy && ./server -serve :8080
//	kill -HUP … # the process, which ends when the next one serves
//
// Or systemd holds the socket, and no process starts the next:
//
//	# server.socket             # server.service
//	[Socket]                    [Service]
//	ListenStream=8080           ExecStart=/usr/local/bin/server -serve :8080
//
// Then, during systemctl restart server.service, users wait for the next process, and
// devices come back to it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"
)

func main() {
	log.SetFlags(0)
	addr := flag.String("serve", "", "run only the server, at `address`")
	leash := flag.Bool("leash", false, "end the server when its standard input ends")
	var o options
	flag.DurationVar(&o.every, "every", 2*time.Second, "how often to restart the server")
	flag.IntVar(&o.restarts, "restarts", 8, "how many times")
	flag.IntVar(&o.devices, "devices", 20, "how many devices there are")
	flag.Parse()
	if *leash {
		go func() {
			io.Copy(io.Discard, os.Stdin)
			log.Fatal("deploy: let go")
		}()
	}
	var err error
	if *addr != "" {
		err = serve(*addr)
	} else {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		_, err = demonstrate(ctx, os.Stdout, o)
	}
	if err != nil {
		log.Fatal("deploy: ", err)
	}
}

type options struct {
	every    time.Duration
	restarts int
	devices  int
}

// demonstrate restarts a server as o says, and returns the users' results.
func demonstrate(ctx context.Context, w io.Writer, o options) (all tally, err error) {
	p, err := startServer()
	if err != nil {
		return all, err
	}
	defer p.end()
	s, err := newSite(ctx, p.addr, o.devices)
	if err != nil {
		return all, err
	}
	defer s.close()
	fmt.Fprintf(w, "%d devices are connected to a server, and users ask them all the time.\n\n", o.devices)
	fmt.Fprintf(w, "%-10s%-10s%-8s%s\n", "process", "requests", "failed", "the slowest took")
	for range o.restarts {
		pid, err := p.restart()
		if err != nil {
			return all, err
		}
		select {
		case <-time.After(o.every):
		case <-ctx.Done():
			return all, ctx.Err()
		}
		t := s.users.take()
		all.add(t)
		fmt.Fprintf(w, "%-10d%-10d%-8d%v\n", pid, t.requests, len(t.failed), t.slowest.Round(time.Millisecond))
	}
	if len(all.failed) > 0 {
		return all, fmt.Errorf("%d requests failed, the first of them with: %w", len(all.failed), all.failed[0])
	}
	fmt.Fprintf(w, "\n%d requests, none failed, the slowest took %v\n", all.requests, all.slowest.Round(time.Millisecond))
	return all, nil
}
