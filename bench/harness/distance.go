package harness

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/backdial/backdial/bench/link"
)

// Distance puts the client far from the server, on a path of 100 MB/s with a queue of 20
// ms. It connects, opens streams one after the other, and then sends as much as it can on
// one stream, with pings on another. All times are in round trips.
//
// The throughput counts what arrives after the first byte is sent; late counts the second
// half, when everything that grows has grown. Package link says what TCP is spared there.
func Distance(b *testing.B, subjects []Subject) {
	type place struct {
		rtt  time.Duration
		loss float64
	}
	places := []place{{20 * time.Millisecond, 0}, {100 * time.Millisecond, 0}, {20 * time.Millisecond, 0.01}, {100 * time.Millisecond, 0.01}}
	if testing.Short() {
		places = places[:1]
	}
	for _, p := range places {
		b.Run(fmt.Sprintf("rtt=%v/loss=%v%%", p.rtt, 100*p.loss), func(b *testing.B) {
			conditions := link.Conditions{RTT: p.rtt, Rate: 100e6, Queue: 20 * time.Millisecond, Loss: p.loss}
			each(b, subjects, func(b *testing.B, s Subject) { distance(b, s, far{b, conditions}, conditions, time.Second/2) })
		})
	}
}

// patience is how long an end may take to notice that the other has ended.
const patience = 5 * time.Second

// distance has a bulk of some length, and of 25 round trips.
func distance(b *testing.B, s Subject, t TB, c link.Conditions, length time.Duration) {
	connect := s.Serve(t)
	const sessions, streams = 3, 5
	length += 25 * c.RTT
	if testing.Short() {
		length = 15 * c.RTT
	}
	var connecting, first, opening, pinging Latency
	var whole, late float64
	for b.Loop() {
		var made *Session
		for range sessions {
			if made != nil {
				made.Close()
			}
			first.Time(func() {
				connecting.Time(func() {
					var err error
					if made, err = connect(); err != nil {
						b.Fatalf("connect: %v", err)
					}
				})
				if err := openAndAnswer(made); err != nil {
					b.Fatal(err)
				}
			})
		}
		for range streams {
			opening.Time(func() {
				if err := openAndAnswer(made); err != nil {
					b.Fatal(err)
				}
			})
		}
		w, l := bulk(b, made, length, &pinging)
		whole += w
		late += l
	}
	n := float64(b.N)
	b.ReportMetric(whole/n/1e6, "MB/s")
	b.ReportMetric(late/n/1e6, "late-MB/s")
	b.ReportMetric(pinging.Percentile(50).Seconds()/c.RTT.Seconds(), "ping-RTTs")
	b.ReportMetric(opening.Percentile(50).Seconds()/c.RTT.Seconds(), "setup-RTTs")
	if _, none := s.Skip["BenchmarkSessionSetup"]; !none {
		b.ReportMetric(first.Percentile(50).Seconds()/c.RTT.Seconds(), "first-RTTs")
		b.ReportMetric(connecting.Percentile(50).Seconds()/c.RTT.Seconds(), "session-RTTs")
	}
	b.ReportMetric(0, "ns/op") // ns/op means nothing here
}

// openAndAnswer is dialAndAsk for a client that accepts one stream at a time.
func openAndAnswer(s *Session) error {
	server, client, err := open(s)
	if err != nil {
		return err
	}
	defer server.Close()
	defer client.Close()
	var one [1]byte
	if _, err := client.Write(one[:]); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if _, err := io.ReadFull(server, one[:]); err != nil {
		return fmt.Errorf("await the answer: %w", err)
	}
	return nil
}

// bulk fills a stream of the session, from the server to the client, for a while. It
// returns how many bytes a second arrive during all of it and during its second half.
// Meanwhile it times pings on another stream. Then it closes the session.
func bulk(b *testing.B, s *Session, length time.Duration, pings *Latency) (whole, late float64) {
	b.Helper()
	var echoing, busy sync.WaitGroup
	asker, echoer := mustOpen(b, s)
	server, client := mustOpen(b, s)
	echoing.Go(func() { echo(echoer) })

	began := time.Now()
	half, end := began.Add(length/2), began.Add(length)
	busy.Go(func() {
		for buf := make([]byte, chunk); ; {
			if _, err := server.Write(buf); err != nil {
				if time.Now().Before(end) {
					b.Errorf("fill a stream: %v", err)
				}
				return
			}
		}
	})
	busy.Go(func() {
		message := make([]byte, 64)
		for time.Now().Before(end) {
			pings.Time(func() {
				if err := Ask(asker, message); err != nil {
					b.Error(err)
				}
			})
		}
		server.SetWriteDeadline(end) // it is over, and ends the writing
	})

	client.SetReadDeadline(end)
	for buf := make([]byte, chunk); time.Now().Before(end); {
		n, err := client.Read(buf)
		whole += float64(n)
		if time.Now().After(half) {
			late += float64(n)
		}
		if err != nil {
			break
		}
	}
	if time.Now().Before(end) {
		b.Error("the bulk ended early")
	}
	// What is still under way is not read: it would delay the last ping, which began in
	// time.
	ended := make(chan struct{})
	go func() { // ends with the session
		busy.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(patience): // not every Write heeds a deadline
		s.Close()
		server.Close()
		<-ended
	}
	for _, c := range []io.Closer{asker, echoer, server, client} {
		c.Close()
	}
	s.Close()
	echoing.Wait()
	return whole / length.Seconds(), late / (length / 2).Seconds()
}
