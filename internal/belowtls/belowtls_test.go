package belowtls

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testcert"
	"github.com/backdial/backdial/internal/test/testnet"
)

// A counted is a connection that is not a socket, and counts its writes.
type counted struct {
	net.Conn
	writes atomic.Int64
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// pair returns both ends of a TLS connection on sockets, or on connections that wrap has
// made of them.
func pair(t *testing.T, version uint16, wrap func(net.Conn) net.Conn) (client, server *TLS) {
	t.Helper()
	leak.Check(t)
	ca := testcert.NewCA(t)
	a, b := testnet.Pair(t)
	below := [2]*Conn{New(wrap(a)), New(wrap(b))}
	secured := [2]*tls.Conn{
		tls.Client(below[0], &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1", MaxVersion: version}),
		tls.Server(below[1], &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, "127.0.0.1")}}),
	}
	shaken := make(chan error, 1)
	go func() { shaken <- secured[1].HandshakeContext(t.Context()) }()
	if err := errors.Join(secured[0].HandshakeContext(t.Context()), await.From(t, "handshake", shaken)); err != nil {
		t.Fatal(err)
	}
	client = below[0].Secure(secured[0], below[0].Conn)
	server, ok := Of(secured[1])
	if !ok {
		t.Fatal("Of does not find the Conn below TLS")
	}
	return client, server
}

func asIs(c net.Conn) net.Conn { return c }

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// idle fails t if an end holds memory.
func idle(t *testing.T, ends ...*TLS) {
	t.Helper()
	for _, end := range ends {
		if end.Left() || end.below.spill != nil || end.below.rest != nil {
			t.Error("a connection without anything to do holds memory")
		}
	}
}

// TestCarries sends both ways at once, in pieces of all sizes, with each version of TLS, and
// over connections that are no sockets.
func TestCarries(t *testing.T) {
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		for kind, wrap := range map[string]func(net.Conn) net.Conn{
			"socket": asIs,
			"other":  func(c net.Conn) net.Conn { return &counted{Conn: c} },
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				client, server := pair(t, version, wrap)
				if client.IsPrompt() != (kind == "socket") {
					t.Skip("sockets cannot be used without waiting here")
				}
				want := noise(4 << 20)
				done := make(chan error, 4)
				for i, way := range [][2]*TLS{{client, server}, {server, client}} {
					go func() {
						r := rand.New(rand.NewPCG(uint64(i), 1))
						for rest := want; len(rest) > 0; {
							n := min(len(rest), r.IntN(1<<r.IntN(18))+1)
							if m, err := way[0].Write(rest[:n]); m != n || err != nil {
								done <- errors.Join(errors.New("short write"), err)
								return
							}
							rest = rest[n:]
						}
						done <- nil
					}()
					go func() {
						got := make([]byte, len(want))
						_, err := io.ReadFull(way[1], got)
						if err == nil && !bytes.Equal(got, want) {
							err = errors.New("other bytes than were written")
						}
						done <- err
					}()
				}
				for range cap(done) {
					if err := await.From(t, "transfer", done); err != nil {
						t.Fatal(err)
					}
				}
				idle(t, client, server)
			})
		}
	}
}

// TestWritesAtOnce counts the writes that a Write causes.
func TestWritesAtOnce(t *testing.T) {
	var below []*counted
	client, server := pair(t, tls.VersionTLS13, func(c net.Conn) net.Conn {
		below = append(below, &counted{Conn: c})
		return below[len(below)-1]
	})
	go io.Copy(io.Discard, server)
	for _, test := range []struct{ size, writes int }{{1, 1}, {16 << 10, 1}, {64 << 10, 1}, {atOnce, 1}, {atOnce + 1, 2}, {1 << 20, 15}} {
		before := below[0].writes.Load()
		if n, err := client.Write(make([]byte, test.size)); n != test.size || err != nil {
			t.Fatal(n, err)
		}
		if writes := int(below[0].writes.Load() - before); writes != test.writes {
			t.Errorf("%d bytes: %d writes, want %d", test.size, writes, test.writes)
		}
		idle(t, client)
	}
}

// TestNow writes until there is no room, then in each way that waits.
func TestNow(t *testing.T) {
	for name, wait := range map[string]func(*TLS) (written []byte, err error){
		"Flush": func(c *TLS) ([]byte, error) { return nil, c.Flush() },
		"Write": func(c *TLS) ([]byte, error) { p := noise(100_000); _, err := c.Write(p); return p, err },
	} {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t, tls.VersionTLS13, asIs)
			if !client.IsPrompt() {
				t.Skip("sockets cannot be used without waiting here")
			}
			var want []byte
			for !client.Left() {
				p := noise(1 + len(want)%atOnce)
				if err := client.WriteNow(p); err != nil {
					t.Fatal(err)
				}
				want = append(want, p...)
			}
			done := make(chan error, 1)
			var more []byte
			go func() {
				var err error
				more, err = wait(client)
				done <- err
			}()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(server, got); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("other bytes than were written, %v", err)
			}
			if name == "Write" {
				if _, err := io.CopyN(io.Discard, server, 100_000); err != nil {
					t.Fatal(err)
				}
			}
			if err := await.From(t, name, done); err != nil || len(more) != map[string]int{"Write": 100_000}[name] {
				t.Fatal(err)
			}
			idle(t, client, server)
		})
	}
}

// TestReadNow reads records of which nothing, a part or all has arrived.
func TestReadNow(t *testing.T) {
	client, server := pair(t, tls.VersionTLS13, asIs)
	if !client.IsPrompt() {
		t.Skip("sockets cannot be used without waiting here")
	}
	var record bytes.Buffer
	socket := client.below.Conn
	client.below.Conn, client.below.socket = &counted{Conn: writesTo{socket, &record}}, nil
	p, want := make([]byte, 100), []byte("all of a record")
	if _, err := client.Write(want); err != nil {
		t.Fatal(err)
	}
	if n := server.ReadNow(p); n != 0 {
		t.Errorf("%d bytes of nothing", n)
	}
	for record.Len() > 1 {
		if _, err := socket.Write(record.Next(1)); err != nil {
			t.Fatal(err)
		}
		if n := server.ReadNow(p); n != 0 {
			t.Fatalf("%d bytes of a part", n)
		}
	}
	socket.Write(record.Bytes())
	n, err := server.Read(p) // waits for the last byte, after attempts that did not
	if !bytes.Equal(p[:n], want) || err != nil {
		t.Errorf("%q, %v", p[:n], err)
	}
	idle(t, server)
	socket.Close()
	await.Until(t, "the end", func() bool { _, err := server.Read(p); return err != nil })
	if n := server.ReadNow(p); n != 0 {
		t.Errorf("%d bytes after the end", n)
	}
}

// writesTo is a connection whose writes go elsewhere.
type writesTo struct {
	net.Conn
	w io.Writer
}

func (c writesTo) Write(p []byte) (int, error) { return c.w.Write(p) }

// TestUnasked has TLS write on its own, as the goroutine that reads does for alerts and new
// keys.
func TestUnasked(t *testing.T) {
	a, b := testnet.Pair(t)
	c := New(a)
	c.Secure(tls.Client(c, &tls.Config{ServerName: "127.0.0.1"}), a)
	arrives := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(b, got); string(got) != want || err != nil {
			t.Errorf("%q arrives, %v, want %q", got, err, want)
		}
	}
	c.Write([]byte("an alert")) // nobody else writes
	arrives("an alert")

	c.gather()
	c.Write([]byte("data, "))
	c.Write([]byte("a key")) // goes along
	if err := c.flush(false); err != nil || c.left() {
		t.Errorf("something is left, %v", err)
	}
	arrives("data, a key")

	b.SetReadBuffer(4 << 10) // b stops reading
	var err error
	for written := 0; err == nil; written += 1000 {
		if written > 64<<20 {
			t.Fatal("a peer that does not read costs memory without bound")
		}
		_, err = c.Write(make([]byte, 1000))
	}
	if err != errUnread {
		t.Errorf("%v, want %v", err, errUnread)
	}
	if err := c.flush(true); err != errUnread {
		t.Errorf("then %v, want %v", err, errUnread)
	}
}

// TestDeadline interrupts a Read in the middle of a record: the next one must go on.
func TestDeadline(t *testing.T) {
	client, server := pair(t, tls.VersionTLS13, asIs)
	var record bytes.Buffer
	socket := client.below.Conn
	client.below.Conn, client.below.socket = writesTo{socket, &record}, nil
	p, want := make([]byte, 100), []byte("all of a record")
	if _, err := client.Write(want); err != nil {
		t.Fatal(err)
	}
	reading := make(chan error, 1)
	for range 3 {
		if _, err := socket.Write(record.Next(8)); err != nil {
			t.Fatal(err)
		}
		go func() { _, err := server.Read(p); reading <- err }()
		server.SetReadDeadline(time.Unix(1, 0)) // long ago
		if err := await.From(t, "Read", reading); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("Read in the middle of a record: %v", err)
		}
		server.SetReadDeadline(time.Time{})
	}
	socket.Write(record.Bytes())
	if n, err := server.Read(p); !bytes.Equal(p[:n], want) || err != nil {
		t.Errorf("%q, %v", p[:n], err)
	}
	idle(t, server)
}
