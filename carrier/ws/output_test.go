package ws

import (
	"bytes"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/testnet"
)

// TestWritesAtOnce counts the writes to a connection without gathering writes: frames
// must leave in one, as far as there is room.
func TestWritesAtOnce(t *testing.T) {
	random := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{1}).Read(random)
	for _, isClient := range []bool{false, true} {
		for _, test := range []struct {
			sizes  []int
			writes int
		}{
			{nil, 0},
			{[]int{0}, 0},
			{[]int{1}, 1},
			{[]int{125}, 1},
			{[]int{126}, 1},
			{[]int{smallWrite}, 1},
			{[]int{smallWrite + 1}, 1},
			{[]int{64 << 10}, 1},
			{[]int{1<<16 - 1}, 1},
			{[]int{64<<10 + 4<<10}, 1},
			{[]int{1 << 20}, 15},
			{[]int{3, 0, 4000, 70, 60_000}, 1},
			{[]int{60_000, 60_000, 1}, 2},
		} {
			wire := new(capture)
			var messages [][]byte
			for _, size := range test.sizes {
				messages = append(messages, random[:size])
			}
			if err := NewConn(wire, isClient).WriteMessages(messages...); err != nil {
				t.Fatal(err)
			}
			if wire.writes != test.writes {
				t.Errorf("messages of %d bytes, from a client (%t): %d writes, want %d", test.sizes, isClient, wire.writes, test.writes)
			}
			reader := NewConn(wire, !isClient)
			for _, m := range messages {
				if len(m) == 0 {
					continue
				}
				size, err := reader.NextMessage(1 << 20)
				if got, _ := io.ReadAll(reader); size != len(m) || !bytes.Equal(got, m) || err != nil {
					t.Errorf("messages of %d bytes, from a client (%t): %d arrive, %v", test.sizes, isClient, size, err)
				}
			}
			if _, err := reader.NextMessage(1); err == nil {
				t.Errorf("messages of %d bytes, from a client (%t): there are more", test.sizes, isClient)
			}
		}
	}
}

// TestLastAtOnce counts the writes of the last messages, with the close frame.
func TestLastAtOnce(t *testing.T) {
	for _, isClient := range []bool{false, true} {
		wire := new(capture)
		end, reader := NewConn(wire, isClient), NewConn(wire, !isClient)
		if err := end.WriteLast([]byte("one"), []byte("two")); wire.writes != 1 || err != nil {
			t.Errorf("from a client (%t): %d writes, %v, want 1", isClient, wire.writes, err)
		}
		for range 2 {
			if size, err := reader.NextMessage(3); size != 3 || err != nil {
				t.Errorf("from a client (%t): a message of %d bytes, %v, want 3", isClient, size, err)
			}
		}
		if _, err := reader.NextMessage(3); err != io.EOF {
			t.Errorf("from a client (%t): %v, want io.EOF", isClient, err)
		}
		if err := end.WriteMessages([]byte("late")); err == nil {
			t.Errorf("from a client (%t): a message is written after the last", isClient)
		}
	}
}

// TestGathers checks a server's writes to a TCP connection: large messages must not be
// copied, and stay in order with the small ones between them.
func TestGathers(t *testing.T) {
	conn, other := testnet.Pair(t)
	large := make([]byte, smallWrite+1)
	messages := [][]byte{{1}, large, {2}, {3}, large, {4}}
	o := newOutput(conn, false, messages)
	for _, m := range messages {
		o.frame(opBinary, m)
	}
	var in int
	for _, p := range o.pieces {
		if len(p) == len(large) && &p[0] == &large[0] {
			in++
		}
	}
	if in != 2 || cap(o.buf) > 2*smallWrite {
		t.Errorf("%d of 2 large messages are written from where they are, with a buffer of %d bytes", in, cap(o.buf))
	}
	if err := o.flush(); err != nil {
		t.Fatal(err)
	}
	o.free()
	many := make([][]byte, 3*maxPieces)
	for i := range many {
		many[i] = large
		messages = append(messages, large)
	}
	written := make(chan error, 1)
	go func() { written <- NewConn(conn, false).WriteMessages(many...) }()
	reader := NewConn(other, true)
	for i, m := range messages {
		size, err := reader.NextMessage(1 << 20)
		if got, _ := io.ReadAll(reader); size != len(m) || !bytes.Equal(got, m) || err != nil {
			t.Fatalf("message %d arrives as %d bytes, %v", i, size, err)
		}
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

// TestKeepsInPools keeps messages that are too large for one buffer: what holds them must be
// used again, or a sender of large messages makes as much garbage.
func TestKeepsInPools(t *testing.T) {
	if PoolsForget() {
		t.Skip("pools forget")
	}
	conn, other := testnet.Pair(t)
	go io.Copy(io.Discard, other)
	client := newConn(conn, conn, "", true, nil)
	writer, ok := prompted(client).(carrier.PromptWriter)
	if !ok {
		t.Skip("every write may wait")
	}
	const size, times = 3 * largeWrite, 100
	message := make([]byte, size)
	var before, after runtime.MemStats
	for i := range times + 1 {
		if i == 1 {
			runtime.ReadMemStats(&before)
		}
		if kept, err := writer.WriteNow(message); !kept || err != nil {
			t.Fatalf("WriteNow: kept %t, %v, want true", kept, err)
		}
		if err := writer.Flush(); err != nil {
			t.Fatal("Flush: ", err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / times; each > size/4 {
		t.Errorf("a message of %d bytes makes %d bytes of garbage", size, each)
	}
}

// TestFreeOutput makes a write fail: its bytes must not be kept any longer.
func TestFreeOutput(t *testing.T) {
	conn, _ := testnet.Pair(t)
	conn.Close()
	large := make([]byte, smallWrite+1)
	o := newOutput(conn, false, [][]byte{large})
	o.frame(opBinary, large)
	if err := o.flush(); err == nil {
		t.Fatal("a closed connection can be written to")
	}
	o.free()
	for _, p := range o.array {
		if p != nil {
			t.Error("an output that is free keeps a message")
		}
	}
}

// TestKeysChange checks the keys of messages that are written one by one and together.
func TestKeysChange(t *testing.T) {
	wire := new(capture)
	client := NewConn(wire, true)
	const n = 100
	for range n / 4 {
		client.Write([]byte{1})
		client.WriteMessages([]byte{1}, []byte{2}, []byte{3})
	}
	keys := make(map[[4]byte]bool)
	for frame := make([]byte, 7); ; {
		if _, err := io.ReadFull(wire, frame); err != nil {
			break
		}
		keys[[4]byte(frame[2:])] = true
	}
	if len(keys) < n-1 {
		t.Errorf("%d frames have %d keys", n, len(keys))
	}
}

// TestAllocations writes and reads messages.
func TestAllocations(t *testing.T) {
	if PoolsForget() {
		t.Skip("under the race detector, pools forget what they are given")
	}
	a, b := testnet.Pair(t)
	client, server := NewConn(a, true), NewConn(b, false)
	p, got := make([]byte, 60_000), make([]byte, 60_000)
	for _, test := range []struct {
		name     string
		from, to carrier.MessageConn
		sizes    []int
	}{
		{"client, small", client, server, []int{100}},
		{"client, large", client, server, []int{60_000}},
		{"client, several", client, server, []int{100, 60_000, 1000}},
		{"server, small", server, client, []int{100}},
		{"server, large", server, client, []int{60_000}},
		{"server, several", server, client, []int{100, 60_000, 1000}},
	} {
		var messages [][]byte
		for _, size := range test.sizes {
			messages = append(messages, p[:size])
		}
		once := func() {
			if err := test.from.WriteMessages(messages...); err != nil {
				t.Fatal(err)
			}
			for _, want := range test.sizes {
				size, err := test.to.NextMessage(1 << 20)
				if _, err := io.ReadFull(test.to, got[:want]); size != want || err != nil {
					t.Fatalf("%s: a message of %d bytes, %v, want %d", test.name, size, err, want)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := testing.AllocsPerRun(200, once); n > 0 {
			t.Errorf("%s: %.1f allocations", test.name, n)
		}
	}
}
