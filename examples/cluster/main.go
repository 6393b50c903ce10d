// Cluster runs three servers behind a load balancer, and devices that every server can
// reach, whichever server they are connected to. Meanwhile it kills a server, suspends
// one, drains one, and starts them again.
//
// It is a demonstration of 20 seconds. The code to copy is in the folder replica, a
// program for real machines too; this one runs three processes of it. The folder certs
// makes certificates for real machines.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/backdial/backdial/examples/cluster/internal/authority"
)

func main() {
	log.SetFlags(0)
	addr := flag.String("addr", "127.0.0.1:0", "`address` of the proxy; port 0 is any that is free")
	pause := flag.Duration("pause", 2*time.Second, "how long to wait after each table, for the reader")
	stay := flag.Bool("stay", false, "go on after the show, until Ctrl-C")
	flag.Parse()
	// A signal that would end this program must end the replicas first.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	signal.Ignore(syscall.SIGPIPE)
	err := run(ctx, &reader{os.Stdout, stop}, options{addr: *addr, pause: *pause, stay: *stay})
	if ctx.Err() != nil {
		fmt.Println("\nstopped")
		os.Exit(130)
	}
	if err != nil {
		log.Fatal("\ncluster: ", err)
	}
}

// A reader is the program's output. When nobody reads it any more, the program ends.
type reader struct {
	file *os.File
	stop func()
}

func (r *reader) Write(b []byte) (int, error) {
	n, err := r.file.Write(b)
	if err != nil {
		r.stop()
	}
	return n, err
}

type options struct {
	addr  string
	pause time.Duration
	stay  bool
}

// run is the whole demonstration. Nothing is left when it returns.
func run(ctx context.Context, w io.Writer, o options) (err error) {
	dir, err := os.MkdirTemp("", "backdial-cluster-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ln, err := net.Listen("tcp", o.addr)
	if err != nil {
		return err
	}
	defer ln.Close()

	fmt.Fprint(w, "Building the replica, with NATS in it (the first time that takes a minute) … ")
	start := time.Now()
	program, err := build(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, duration(time.Since(start)))

	replicas, err := prepare(program, dir)
	if err != nil {
		return err
	}
	s := &show{
		w:        w,
		client:   &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
		front:    &url.URL{Scheme: "http", Host: ln.Addr().String()},
		replicas: replicas,
		devices:  newDevices(),
		pause:    o.pause,
		patience: patience,
	}
	defer s.client.CloseIdleConnections()
	defer func() {
		for _, r := range replicas {
			r.kill()
			if err != nil && ctx.Err() == nil {
				err = fmt.Errorf("%w\n\nThe end of the log of %s:\n%s", err, r.name, r.lastWords())
			}
		}
	}()
	return s.play(ctx, ln, o.stay)
}

// prepare returns three replicas that trust each other's certificates in dir.
func prepare(program, dir string) ([]*replica, error) {
	ca, err := authority.Create(dir)
	if err != nil {
		return nil, err
	}
	replicas, err := newReplicas(program, dir, "replica-1", "replica-2", "replica-3")
	if err != nil {
		return nil, err
	}
	for _, r := range replicas {
		if err := ca.Replica(r.name, host); err != nil {
			return nil, err
		}
	}
	return replicas, nil
}

// play runs the show with the proxy, devices and users, and then stops them.
func (s *show) play(ctx context.Context, ln net.Listener, stay bool) error {
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	var backends []*url.URL
	for _, r := range s.replicas {
		backends = append(backends, r.url)
	}
	front := newProxy(backends...)
	web := &http.Server{Handler: front}
	defer web.Close()
	running.Go(func() { web.Serve(ln) })
	running.Go(func() { front.check(ctx) })
	defer func() {
		for _, d := range s.devices {
			running.Go(d.close)
		}
	}()

	if err := s.begin(ctx, front); err != nil {
		return err
	}
	running.Go(func() { s.users.run(ctx, s.client, s.front, s.devices) })
	if err := s.run(ctx); err != nil {
		return err
	}
	s.sumUp()
	if stay {
		s.say("\nStill there, until Ctrl-C: %s", s.front.JoinPath("devices", s.devices[0].id, "/"))
		<-ctx.Done()
	}
	return nil
}
