package cluster_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/backdial/backdial/carrier/webtransport"
	"github.com/backdial/backdial/cluster"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/long"
	"github.com/backdial/backdial/internal/test/testcert"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
	"github.com/backdial/backdial/mux/nativemux"
	"github.com/backdial/backdial/mux/qmux"
	"github.com/backdial/backdial/mux/smuxmux"
	"github.com/backdial/backdial/mux/yamuxmux"
	"github.com/backdial/backdial/transport"
)

// stacks are what sessions between replicas may consist of.
var stacks = map[string][]transport.Option{
	"qmux":             {transport.WithMuxes(qmux.New())},
	"yamux":            {transport.WithMuxes(yamuxmux.New())},
	"smux":             {transport.WithMuxes(smuxmux.New())},
	"webtransport":     {transport.WithCarriers(webtransport.New()), transport.WithMuxes(qmux.New())},
	"webtransport own": {transport.WithCarriers(webtransport.New()), transport.WithMuxes(nativemux.New())},
}

// A hop is a way to a client through another replica.
type hop struct {
	owner    *replica
	asker    *cluster.Cluster
	client   *transport.Listener
	accepted chan net.Conn // by the client
}

// hop connects a client to a replica, to which a service has such a stack.
func (s *site) hop(t *testing.T, stack cluster.Option) *hop {
	t.Helper()
	h := &hop{owner: s.listening(t, "a", stack), asker: s.service(t, "c", stack), accepted: make(chan net.Conn)}
	var err error
	h.client, err = transport.DialAndListenContext(t.Context(), h.owner.url, http.Header{"Deviceid": {"x"}}, transport.WithCloseGrace(-1))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := h.client.Accept()
			if err != nil {
				return
			}
			h.accepted <- conn
		}
	}()
	t.Cleanup(func() {
		h.client.Close()
		for {
			select {
			case conn := <-h.accepted:
				conn.Close()
			case <-done:
				return
			}
		}
	})
	await.Until(t, "the replica listens", func() bool {
		conn, err := h.asker.Dial(t.Context(), "x")
		if err == nil {
			conn.Close()
			(<-h.accepted).Close()
		}
		return err == nil
	})
	return h
}

// listening starts a replica that listens by itself, with all of its carriers.
func (s *site) listening(t *testing.T, name string, opts ...cluster.Option) *replica {
	t.Helper()
	addr := testnet.FreeAddr(t)
	r := s.replicaAt(t, name, listen(t), "https://"+addr, opts...)
	served := make(chan error, 1)
	go func() { served <- r.ListenAndServe(addr) }()
	t.Cleanup(func() {
		r.Cluster.Close()
		if err := await.From(t, "the end of ListenAndServe", served); !errors.Is(err, net.ErrClosed) {
			t.Errorf("ListenAndServe: %v, want net.ErrClosed", err)
		}
	})
	return r
}

// dial opens a connection, and returns both of its ends.
func (h *hop) dial(t *testing.T) (here, there transport.Conn) {
	t.Helper()
	conn, err := h.asker.Dial(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	accepted := await.From(t, "the connection", h.accepted)
	t.Cleanup(func() {
		conn.Close()
		accepted.Close()
	})
	return conn.(transport.Conn), accepted.(transport.Conn)
}

// eachStack runs a test with each.
func eachStack(t *testing.T, test func(t *testing.T, s *site, h *hop, stack cluster.Option)) {
	for name, opts := range stacks {
		t.Run(name, func(t *testing.T) {
			s, stack := newSite(t), cluster.WithTransport(opts...)
			test(t, s, s.hop(t, stack), stack)
		})
	}
}

// In TestCertificatesOfStacks the asker shows a certificate of another authority, and none.
func TestCertificatesOfStacks(t *testing.T) {
	others := testcert.NewCA(t)
	eachStack(t, func(t *testing.T, s *site, h *hop, stack cluster.Option) {
		bad := s.ca.Mutual(t)
		bad.Certificates = []tls.Certificate{others.Issue(t, "c")}
		for _, config := range []*tls.Config{bad, s.anonymous(t)} {
			checkDial(t, s.service(t, "c", stack, cluster.WithTLSConfig(config)), "x", "certificate")
		}
	})
}

// TestNetConn expects a connection across replicas to be like any other.
func TestNetConn(t *testing.T) {
	eachStack(t, func(t *testing.T, _ *site, h *hop, _ cluster.Option) {
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			here, there := h.dial(t)
			return here, there, func() {
				here.Close()
				there.Close()
			}, nil
		})
	})
}

// TestHalfClose ends each direction by itself, in both orders.
func TestHalfClose(t *testing.T) {
	eachStack(t, func(t *testing.T, _ *site, h *hop, _ cluster.Option) {
		for _, other := range []bool{false, true} {
			first, second := h.dial(t)
			if other {
				first, second = second, first
			}
			ends(t, first, second)
			ends(t, second, first)
		}
	})
}

// ends expects that the end of a direction comes after what was written.
func ends(t *testing.T, from, to transport.Conn) {
	t.Helper()
	if _, err := io.WriteString(from, "the last"); err != nil {
		t.Error(err)
	}
	from.CloseWrite()
	to.SetReadDeadline(time.Now().Add(20 * time.Second))
	if got, err := io.ReadAll(to); string(got) != "the last" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

// In TestReset each end resets a connection, the client loses its session, and the owner loses
// its session with the asker. Nobody takes that for the end of the stream.
func TestReset(t *testing.T) {
	eachStack(t, func(t *testing.T, _ *site, h *hop, _ cluster.Option) {
		here, there := h.dial(t)
		here.Reset()
		isReset(t, there)
		here, there = h.dial(t)
		there.Reset()
		isReset(t, here)
		here, there = h.dial(t)
		h.client.Close()
		isCut(t, here)
		isCut(t, there)
	})
}

// isReset expects that the other end has given up a connection.
func isReset(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, mux.ErrReset) {
		t.Errorf("read: %v, want mux.ErrReset", err)
	}
}

// TestTransfer sends much both ways at once, and all of it arrives.
func TestTransfer(t *testing.T) {
	const size = 4 << 20
	eachStack(t, func(t *testing.T, _ *site, h *hop, _ cluster.Option) {
		here, there := h.dial(t)
		sums := make(chan [2][sha256.Size]byte, 2)
		for from, to := range map[transport.Conn]transport.Conn{here: there, there: here} {
			data := make([]byte, size)
			rand.NewChaCha8([32]byte{byte(len(sums))}).Read(data)
			go func() {
				io.Copy(from, bytes.NewReader(data))
				from.CloseWrite()
			}()
			go func() {
				got, err := io.ReadAll(to)
				if err != nil {
					t.Error(err)
				}
				sums <- [2][sha256.Size]byte{sha256.Sum256(got), sha256.Sum256(data)}
			}()
		}
		for range 2 {
			if sum := await.From(t, "all of it", sums); sum[0] != sum[1] {
				t.Error("something else arrived than was sent")
			}
		}
	})
}

// In TestSlowReader a client does not read. The writer has to wait, and nothing is lost.
func TestSlowReader(t *testing.T) {
	long.Only(t)
	eachStack(t, func(t *testing.T, _ *site, h *hop, _ cluster.Option) {
		here, there := h.dial(t)
		chunk := bytes.Repeat([]byte("slow"), 16<<10)
		sent := 0
		here.SetWriteDeadline(time.Now().Add(time.Second))
		for {
			n, err := here.Write(chunk)
			sent += n
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if sent > 64<<20 {
				t.Fatal("64 MiB were written to an end that does not read")
			}
		}
		other, _ := h.dial(t) // does not wait
		other.Close()
		here.CloseWrite()
		there.SetReadDeadline(time.Now().Add(20 * time.Second))
		if got, err := io.Copy(io.Discard, there); err != nil || got != int64(sent) {
			t.Errorf("%d bytes arrived, %v, want %d", got, err, sent)
		}
	})
}
