package harness

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"testing"
)

// crowded is an environment variable that makes a process one of clients.
const crowded = "BACKDIAL_BENCH_CROWD"

// An order makes a process of clients connect some of them.
type order struct {
	Subject, Address string
	Certificate      []byte // of the server, in DER
	Clients          int
}

// Crowd turns the process into one of clients, if it was started as such. They connect as
// standard input orders, and echo all streams, until it ends. Programs that measure scale
// call it first in TestMain.
func Crowd(subjects []Apart) {
	if os.Getenv(crowded) == "" {
		return
	}
	orders, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			os.Exit(0)
		}
		var failure string
		if err := o.follow(subjects); err != nil {
			failure = err.Error()
		}
		answers.Encode(failure)
	}
}

func (o order) follow(subjects []Apart) error {
	certificate, err := x509.ParseCertificate(o.Certificate)
	if err != nil {
		return err
	}
	roots.AddCert(certificate)
	i := slices.IndexFunc(subjects, func(a Apart) bool { return a.Name == o.Subject })
	if i < 0 {
		return fmt.Errorf("the process of clients knows no %s: pass it to Crowd", o.Subject)
	}
	const atOnce = 8 // so that the first are not old when the last connect
	var begun atomic.Int64
	ended := make(chan error, atOnce)
	for range atOnce {
		go func() {
			for n := begun.Add(1); n <= int64(o.Clients); n = begun.Add(1) {
				c, err := subjects[i].Connect(o.Address)
				if err != nil {
					ended <- fmt.Errorf("connect client %d of %d: %w", n, o.Clients, err)
					return
				}
				go c.EchoAll()
			}
			ended <- nil
		}()
	}
	for range atOnce {
		err = errors.Join(err, <-ended)
	}
	return err
}

// EchoAll echoes all streams that the client accepts, until it is closed.
func (c *Client) EchoAll() {
	for {
		conn, err := c.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			echo(conn)
		}()
	}
}

// summon returns a function that makes more clients of a server connect, from a process
// of their own: so their cost does not count as the server's, and each process has its
// own descriptors. They disconnect when b is done.
func summon(b *testing.B, a Apart, addr string) (connect func(clients int) error) {
	b.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), crowded+"=1")
	cmd.Stderr = os.Stderr
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		b.Fatalf("start a process of clients: %v", err)
	}
	b.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	orders, answers := json.NewEncoder(in), json.NewDecoder(out)
	return func(clients int) error {
		if err := orders.Encode(order{a.Name, addr, certificate.Leaf.Raw, clients}); err != nil {
			return fmt.Errorf("order %d clients: %w", clients, err)
		}
		var failure string
		if err := answers.Decode(&failure); err != nil {
			return fmt.Errorf("the process of clients has ended: %w", err)
		}
		if failure != "" {
			return errors.New(failure)
		}
		return nil
	}
}
