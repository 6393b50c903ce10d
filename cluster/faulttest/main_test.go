package faulttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/backdial/backdial/cluster"
)

// childEnv is in the environment of a replica that is a process of its own.
const childEnv = "BACKDIAL_FAULTTEST_REPLICA"

// drainTime is what a replica has to shut down.
const drainTime = 20 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	if err := child(); err != nil {
		fmt.Fprintln(os.Stderr, "replica:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child runs a replica until SIGTERM tells it to drain, or its input ends. It reads its
// setup, prints where it listens, reads at which URL other replicas reach it, and prints
// that it is ready.
func child() error {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	var s setup
	if err := in.Decode(&s); err != nil {
		return err
	}
	i, err := prepare(s, os.Stderr)
	if err != nil {
		return err
	}
	var g gate
	if err := g.listen(); err != nil {
		return err
	}
	a := i.addresses()
	a.Gate = g.ln.Addr().String()
	var url string
	if err := errors.Join(out.Encode(a), in.Decode(&url)); err != nil {
		return err
	}
	if s.Waits {
		err = i.start(url, cluster.WithWaitForClient())
	} else {
		err = i.start(url)
	}
	if err != nil {
		return err
	}
	service, err := i.service()
	if err != nil {
		return err
	}
	g.serve(i.Cluster, service)
	if err := out.Encode("ready"); err != nil {
		return err
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	orphaned := make(chan struct{})
	go func() {
		defer close(orphaned)
		io.Copy(io.Discard, in.Buffered())
		io.Copy(io.Discard, os.Stdin)
	}()
	select {
	case <-told:
	case <-orphaned:
		return errors.New("the test is over")
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	drained := make(chan struct{})
	go func() {
		g.drain()
		close(drained)
	}()
	err = i.server.Shutdown(ctx)
	<-drained // those who dial through here need the cluster
	err = errors.Join(err, service.Shutdown(ctx), i.Cluster.Shutdown(ctx))
	i.close()
	return err
}
