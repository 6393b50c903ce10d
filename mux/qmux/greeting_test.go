package qmux

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/testnet"
	"github.com/backdial/backdial/mux"
)

// own is what an end of this package says with the defaults.
var own = New().(mux.Greeter).Greeting(mux.Config{})

// TestGreetedDialSide has a server meet its client in the handshake. Its first stream
// needs no answer of the client, and says the parameters once more.
func TestGreetedDialSide(t *testing.T) {
	leak.Check(t)
	s, peer := meetPuppet(t, dialSide, mux.Config{KeepAlive: -1, Greeting: own})
	st := open(t, s)
	if _, err := io.WriteString(st, "hello"); err != nil {
		t.Fatal(err)
	}
	f, payload := peer.hear()
	if f.typ != draft02.parameters {
		t.Fatalf("the first frame is %+v, want the parameters", f)
	}
	if string(payload) != string(own) {
		t.Errorf("the parameters are % x, those of the greeting % x", payload, own)
	}
	hello := frame{typ: frameStream, id: 1, length: 5}
	if f, _ = peer.hear(); f == (frame{typ: frameStream, id: 1}) { // announced before the Write
		f, _ = peer.hear()
	}
	if f != hello {
		t.Errorf("frame %+v, want %+v", f, hello)
	}
	peer.say(streamFrame(1, 0, []byte("hi")))
	b := make([]byte, 2)
	if _, err := io.ReadFull(st, b); string(b) != "hi" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
	peer.conn.Close()
}

// TestGreetedListenSide has a client meet its server in the handshake. It says nothing by
// itself, and lets the server repeat its parameters once.
func TestGreetedListenSide(t *testing.T) {
	leak.Check(t)
	s, peer := meetPuppet(t, listenSide, mux.Config{KeepAlive: -1, Greeting: own})
	peer.say(streamFrame(1, 0, []byte("hello")))
	st := accept(t, s)
	if _, err := io.WriteString(st, "hi"); err != nil {
		t.Fatal(err)
	}
	peer.wants(frame{typ: frameStream, id: 1, length: 2})
	for range 2 {
		peer.say(parametersFrame(greetings()))
	}
	if err := cause(t, s); !errors.Is(err, mux.ErrProtocol) {
		t.Errorf("cause %v, want mux.ErrProtocol", err)
	}
	peer.conn.Close()
}

// TestGreetingLost has a client that has not got the greeting with the server's answer. The
// server, which does not know that, says its parameters when the client does.
func TestGreetingLost(t *testing.T) {
	leak.Check(t)
	ours, theirs := testnet.Pair(t)
	server := begin(t, ours, dialSide, mux.Config{KeepAlive: -1, Greeting: own})
	client := begin(t, theirs, listenSide, mux.Config{KeepAlive: -1})
	defer server.Close()
	defer client.Close()
	until(t, "the client has met the server", func() bool {
		client.Mu.Lock()
		defer client.Mu.Unlock()
		return client.peer != nil
	})
	opened := open(t, server)
	if _, err := io.WriteString(opened, "hello"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(accept(t, client), b); string(b) != "hello" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
}

// TestGreetingLimits lets a server that takes no streams greet its client. The session needs
// no further frame about that.
func TestGreetingLimits(t *testing.T) {
	leak.Check(t)
	refuses := mux.Config{KeepAlive: -1, MaxStreams: -1, Greeting: own}
	p, err := draft02.parseParameters(New().(mux.Greeter).Greeting(refuses))
	if err != nil {
		t.Fatal(err)
	}
	s, peer := meetPuppet(t, dialSide, refuses)
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if s.incoming.limit != p.initialMaxStreamsBidi || s.inflow.told() != p.initialMaxData || s.writer.Mark() != 0 {
		t.Errorf("the session allows %d streams and %d bytes, the greeting %d and %d; it has written: %v",
			s.incoming.limit, s.inflow.told(), p.initialMaxStreamsBidi, p.initialMaxData, s.writer.Mark() != 0)
	}
	peer.conn.Close()
}

// TestBadGreeting uses greetings that no peer may send.
func TestBadGreeting(t *testing.T) {
	leak.Check(t)
	for name, greeting := range map[string]string{
		"cut":        "\x04",
		"prohibited": "\x00\x00",
		"twice":      "\x04\x01\x01\x04\x01\x01",
		"too small":  "\xc5\x71\xc5\x94\x29\xcd\x08\x45\x01\x07",
	} {
		if err := New().(mux.Greeter).CheckGreeting([]byte(greeting)); !errors.Is(err, mux.ErrProtocol) || !strings.Contains(err.Error(), "parameter") {
			t.Errorf("%s: CheckGreeting returns %v, want mux.ErrProtocol and the parameter", name, err)
		}
		ours, theirs := testnet.Pair(t)
		if _, err := New().ListenSide(ours, mux.Config{Greeting: []byte(greeting)}); !errors.Is(err, mux.ErrProtocol) {
			t.Errorf("%s: ListenSide returns %v, want mux.ErrProtocol", name, err)
		}
		theirs.Close()
	}
	if len(own) > mux.MaxGreeting {
		t.Errorf("the greeting has %d bytes, want %d at most", len(own), mux.MaxGreeting)
	}
}
