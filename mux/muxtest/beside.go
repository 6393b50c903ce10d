package muxtest

import (
	"io"
	"slices"
	"testing"
	"time"

	"github.com/backdial/backdial/mux"
)

// smallBesideBulk sends small messages to and fro while other streams carry as much as
// they can.
func smallBesideBulk(t *testing.T, connect Connect) {
	const (
		pings = 24
		most  = 150 * time.Millisecond // of the quickest quarter: the others may wait for the machine
	)
	p := connect.pair(t, mux.Config{}, mux.Config{})
	var writers []<-chan error
	for range 2 {
		from, to := p.open(t)
		writers = append(writers, writing(from))
		go io.Copy(io.Discard, to)
		defer from.Close()
	}
	st, peer := p.open(t)
	go io.Copy(peer, peer)
	defer peer.Close()
	var took []time.Duration
	for range pings {
		begun := time.Now()
		st.SetDeadline(begun.Add(soon))
		if _, err := io.WriteString(st, "ping"); err != nil {
			t.Fatal("write:", err)
		}
		if _, err := io.ReadFull(st, make([]byte, 4)); err != nil {
			t.Fatal("read:", err)
		}
		took = append(took, time.Since(begun))
		if slices.Sort(took); len(took) >= pings/4 && took[pings/4-1] < most {
			break
		}
	}
	if took[pings/4-1] >= most {
		t.Errorf("pings beside bulk take %v, want less than %v", took, most)
	}
	for _, w := range writers {
		select {
		case err := <-w:
			t.Error("a bulk transfer:", err)
		default:
		}
	}
}
