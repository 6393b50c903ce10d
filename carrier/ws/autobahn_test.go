package ws_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/backdial/backdial/carrier"
	"github.com/backdial/backdial/internal/test/await"
	"github.com/backdial/backdial/internal/test/leak"
	"github.com/backdial/backdial/internal/test/long"
)

// The cases of the Autobahn test suite that concern this package, by their numbers. The
// package refuses text messages: the cases about text expect that, and the other cases
// use binary messages instead of text.

// An autobahn case is what a peer sends to an end that echoes messages.
type autobahn struct {
	name  string
	send  func(p *peer) [][]byte
	chop  int      // 0: frame by frame, else at most so many bytes at a time
	want  []string // messages that come back
	pings []string // of which the last one at least is answered
	end   int      // the status of the close frame that comes back
}

// echo is the end that is tested.
func echo(conn carrier.MessageConn) error {
	for {
		size, err := conn.NextMessage(20 << 20)
		if err == io.EOF {
			return conn.(carrier.CloseWriter).CloseWrite()
		}
		if err != nil {
			return err
		}
		message := make([]byte, size)
		if _, err := io.ReadFull(conn, message); err != nil && size > 0 {
			return err
		}
		if _, err := conn.Write(message); err != nil {
			return err
		}
	}
}

const (
	normal  = 1000
	broken  = 1002
	noText  = 1003
	badText = 1007
)

// goodbye is how a peer ends a case that goes well.
func goodbye(p *peer) []byte { return p.frame(fin|closing, status(normal, "")) }

// sends returns a step that sends frames, each given by its first byte and its payload.
func sends(frames ...any) func(*peer) [][]byte {
	return func(p *peer) (out [][]byte) {
		for i := 0; i < len(frames); i += 2 {
			out = append(out, p.frame(byte(frames[i].(int)), frames[i+1].(string)))
		}
		return out
	}
}

// then returns a step that sends what f sends, and goodbye.
func then(f func(*peer) [][]byte) func(*peer) [][]byte {
	return func(p *peer) [][]byte { return append(f(p), goodbye(p)) }
}

func xs(n int) string { return strings.Repeat("x", n) }

func autobahnCases() []autobahn {
	return slices.Concat(echoCases(), pingCases(), reservedCases(), fragmentCases(), textCases(), closeCases(), sizeCases())
}

func echoCases() (cases []autobahn) {
	for i, size := range []int{0, 125, 126, 127, 128, 65535, 65536, 65536} {
		chop := 0
		if i == 7 {
			chop = 997
		}
		name := "." + strconv.Itoa(i+1)
		want := []string{xs(size)}
		if size == 0 {
			want = nil // Write writes no empty messages
		}
		cases = append(cases,
			autobahn{name: "1.1" + name, send: sends(fin|text, xs(size)), chop: chop, end: noText},
			autobahn{name: "1.2" + name, send: then(sends(fin|binary2, xs(size))), chop: chop, want: want, end: normal})
	}
	return cases
}

func pingCases() []autobahn {
	var ten []any
	var tenPayloads []string
	for i := range 10 {
		payload := "payload-" + strconv.Itoa(i)
		ten, tenPayloads = append(ten, fin|ping, payload), append(tenPayloads, payload)
	}
	full := strings.Repeat("\xfe", 125)
	return []autobahn{
		{name: "2.1", send: then(sends(fin|ping, "")), pings: []string{""}, end: normal},
		{name: "2.2", send: then(sends(fin|ping, "Hello, world!")), pings: []string{"Hello, world!"}, end: normal},
		{name: "2.3", send: then(sends(fin|ping, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff")), pings: []string{"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"}, end: normal},
		{name: "2.4", send: then(sends(fin|ping, full)), pings: []string{full}, end: normal},
		{name: "2.5", send: sends(fin|ping, full+"\xfe"), end: broken},
		{name: "2.6", send: then(sends(fin|ping, full)), chop: 1, pings: []string{full}, end: normal},
		{name: "2.7", send: then(sends(fin|pong, "")), end: normal},
		{name: "2.8", send: then(sends(fin|pong, "unsolicited")), end: normal},
		{name: "2.9", send: then(sends(fin|pong, "unsolicited", fin|ping, "ping")), pings: []string{"ping"}, end: normal},
		{name: "2.10", send: then(sends(ten...)), pings: tenPayloads, end: normal},
		{name: "2.11", send: then(sends(ten...)), chop: 1, pings: tenPayloads, end: normal},
	}
}

func reservedCases() []autobahn {
	cases := []autobahn{
		{name: "3.1", send: sends(fin|0x10|binary2, "*"), end: broken},
		{name: "3.2", send: sends(fin|binary2, "*", fin|0x20|binary2, "*", fin|ping, ""), chop: atOnce, want: []string{"*"}, end: broken},
		{name: "3.3", send: sends(fin|binary2, "*", fin|0x30|binary2, "*", fin|ping, ""), want: []string{"*"}, end: broken},
		{name: "3.4", send: sends(fin|binary2, "*", fin|0x40|binary2, "*", fin|ping, ""), chop: 1, want: []string{"*"}, end: broken},
		{name: "3.5", send: sends(fin|0x50|binary2, "\x00\xff\xfe\xfd"), end: broken},
		{name: "3.6", send: sends(fin|0x60|ping, "*"), end: broken},
		{name: "3.7", send: sends(fin|0x70|closing, status(normal, "")), end: broken},
	}
	for i := range 5 {
		for group, op := range []int{3 + i, 11 + i} {
			payload := ""
			if i%2 == 1 {
				payload = "reserved"
			}
			c := autobahn{
				name: fmt.Sprintf("4.%d.%d", group+1, i+1),
				send: sends(fin|op, payload),
				end:  broken,
			}
			if i >= 2 {
				c.send = sends(fin|binary2, "before", fin|op, payload, fin|ping, "")
				c.want = []string{"before"}
			}
			if i == 4 {
				c.chop = 1
			}
			cases = append(cases, c)
		}
	}
	return cases
}

func fragmentCases() (cases []autobahn) {
	pieces := sends(binary2, "fragment1", fin|continuation, "fragment2")
	both := []string{"fragment1fragment2"}
	pinged := sends(binary2, "fragment1", fin|ping, "ping", fin|continuation, "fragment2")
	five := sends(binary2, "fragment1", continuation, "fragment2", fin|ping, "first",
		continuation, "fragment3", continuation, "fragment4", fin|ping, "second", fin|continuation, "fragment5")
	add := func(number int, chops []int, c autobahn) {
		for i, chop := range chops {
			c.name, c.chop = "5."+strconv.Itoa(number+i), chop
			cases = append(cases, c)
		}
	}
	three := []int{atOnce, 0, 1}
	add(1, three[:1], autobahn{send: sends(ping, "fragment1", fin|continuation, "fragment2"), end: broken})
	add(2, three[:1], autobahn{send: sends(pong, "fragment1", fin|continuation, "fragment2"), end: broken})
	add(3, three, autobahn{send: then(pieces), want: both, end: normal})
	add(6, three, autobahn{send: then(pinged), want: both, pings: []string{"ping"}, end: normal})
	add(9, three, autobahn{send: sends(fin|continuation, "non-continuation payload", fin|binary2, "Hello, world!"), end: broken})
	add(12, three, autobahn{send: sends(continuation, "non-continuation payload", fin|binary2, "Hello, world!"), end: broken})
	add(15, three[:1], autobahn{send: sends(binary2, "fragment1", fin|continuation, "fragment2",
		continuation, "fragment3", fin|binary2, "fragment4"), want: both, end: broken})
	add(16, three[1:2], autobahn{send: sends(continuation, "fragment1", binary2, "fragment2", fin|continuation, "fragment3"), end: broken})
	add(17, three[1:2], autobahn{send: sends(fin|continuation, "fragment1", binary2, "fragment2", fin|continuation, "fragment3"), end: broken})
	add(18, three[:1], autobahn{send: sends(binary2, "fragment1", fin|binary2, "fragment2"), end: broken})
	add(19, three[1:], autobahn{
		send:  then(five),
		want:  []string{"fragment1fragment2fragment3fragment4fragment5"},
		pings: []string{"first", "second"},
		end:   normal,
	})
	return cases
}

// textCases are few: any text message is refused, and any binary one is not.
func textCases() []autobahn {
	const bad = "κόσμε\xed\xa0\x80edited"
	return []autobahn{
		{name: "6.1.1", send: sends(fin|text, ""), end: noText},
		{name: "6.1.2", send: sends(text, "", continuation, "", fin|continuation, ""), end: noText},
		{name: "6.1.3", send: sends(text, "", continuation, "middle", fin|continuation, ""), end: noText},
		{name: "6.2.1", send: sends(fin|text, "Hello-µ@ßöäüàá-UTF-8!!"), end: noText},
		{name: "6.2.3", send: sends(fin|text, "Hello-µ@ßöäüàá-UTF-8!!"), chop: 1, end: noText},
		{name: "6.3.1", send: sends(fin|text, bad), end: noText},
		{name: "6.3.1, binary", send: then(sends(fin|binary2, bad)), want: []string{bad}, end: normal},
		{name: "6.4.1", send: sends(text, "κόσμε\xf4", continuation, "\x90", fin|continuation, "\x80\x80edited"), end: noText},
		{name: "6.1.3, binary", send: then(sends(binary2, "", continuation, "middle", fin|continuation, "")), want: []string{"middle"}, end: normal},
	}
}

func closeCases() []autobahn {
	big := xs(256 << 10)
	cases := []autobahn{
		{name: "7.1.1", send: then(sends(fin|binary2, "Hello World!")), want: []string{"Hello World!"}, end: normal},
		{name: "7.1.2", send: then(then(sends())), end: normal},
		{name: "7.1.3", send: sends(fin|closing, status(normal, ""), fin|ping, "late"), end: normal},
		{name: "7.1.4", send: sends(fin|closing, status(normal, ""), fin|binary2, "late"), end: normal},
		{name: "7.1.5", send: sends(binary2, "fragment1", fin|closing, status(normal, ""), fin|continuation, "fragment2"), end: cutOff},
		{name: "7.1.6", send: sends(fin|binary2, big, fin|binary2, "Hello World!", fin|closing, status(normal, ""), fin|ping, "late"),
			want: []string{big, "Hello World!"}, end: normal},
		{name: "7.3.1", send: sends(fin|closing, ""), end: 1005},
		{name: "7.3.2", send: sends(fin|closing, "a"), end: broken},
		{name: "7.3.3", send: sends(fin|closing, status(normal, "")), end: normal},
		{name: "7.3.4", send: sends(fin|closing, status(normal, "Hello World!")), end: normal},
		{name: "7.3.5", send: sends(fin|closing, status(normal, xs(123))), end: normal},
		{name: "7.3.6", send: sends(fin|closing, status(normal, xs(124))), end: broken},
		{name: "7.5.1", send: sends(fin|closing, status(normal, "κόσμε\xed\xa0\x80edited")), end: badText},
	}
	for i, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		end := code
		if code == 1001 {
			end = normal
		}
		cases = append(cases, autobahn{name: fmt.Sprintf("7.7.%d", i+1), send: sends(fin|closing, status(code, "")), end: end})
	}
	for i, code := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999} {
		cases = append(cases, autobahn{name: fmt.Sprintf("7.9.%d", i+1), send: sends(fin|closing, status(code, "")), end: broken})
	}
	for i, code := range []int{5000, 65535} {
		cases = append(cases, autobahn{name: fmt.Sprintf("7.13.%d", i+1), send: sends(fin|closing, status(code, "")), end: broken})
	}
	return cases
}

// cutOff is the end of a message that a close frame cuts: this end must fail, and nothing
// comes back.
const cutOff = -1

func sizeCases() (cases []autobahn) {
	add := func(name string, message string, fragment, chop int) {
		cases = append(cases, autobahn{
			name: name,
			send: func(p *peer) [][]byte { return append(p.fragments(binary2, message, fragment), goodbye(p)) },
			chop: chop, want: []string{message}, end: normal,
		})
	}
	random := string(noise(9, 16<<20))
	for i, size := range []int{64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20, 16 << 20} {
		if size > 1<<20 && !long.Asked() {
			break
		}
		add(fmt.Sprintf("9.2.%d", i+1), random[:size], size, atOnce)
	}
	for i, fragment := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20} {
		size := min(1<<10, fragment) << 12
		add(fmt.Sprintf("9.4.%d", i+1), random[:size], fragment, 64<<10)
	}
	for i, chop := range []int{64, 128, 256, 512, 1024, 2048} {
		size := min(1<<20, chop<<12)
		add(fmt.Sprintf("9.6.%d", i+1), random[:size], size, chop)
	}
	for i, size := range []int{0, 16, 64, 256, 1024, 4096} {
		c := autobahn{name: fmt.Sprintf("9.8.%d", i+1), chop: atOnce, end: normal}
		var all []any
		for range 1000 {
			all = append(all, fin|binary2, random[:size])
			if size > 0 {
				c.want = append(c.want, random[:size])
			}
		}
		c.send = then(sends(all...))
		cases = append(cases, c)
	}
	add("10.1.1", random[:65536], 1300, 0)
	return cases
}

func TestAutobahn(t *testing.T) {
	cases := autobahnCases()
	for _, end := range ends {
		for _, c := range cases {
			t.Run(end.name+"/"+c.name, func(t *testing.T) {
				leak.Check(t)
				own, p := end.make(t)
				c.run(t, own, p)
			})
		}
	}
}

func (c autobahn) run(t *testing.T, own carrier.MessageConn, p *peer) {
	ended := make(chan error, 1)
	go func() { ended <- echo(own) }()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		frames := c.send(p)
		if c.chop > 0 {
			p.send(c.chop, frames...)
			return
		}
		for _, f := range frames {
			p.send(atOnce, f)
		}
	}()
	if c.end == cutOff {
		err := await.From(t, "the echo", ended)
		own.Close()
		ended <- err
	}
	messages, pongs, end, err := hear(p)
	if err != nil && c.end != cutOff {
		t.Errorf("no close frame: %v", err)
	}
	if len(messages) != len(c.want) {
		t.Errorf("%d messages come back, want %d", len(messages), len(c.want))
	}
	for i, m := range messages[:min(len(messages), len(c.want))] {
		if m != c.want[i] {
			t.Errorf("message %d comes back as %d bytes (%.40q), want %d", i, len(m), m, len(c.want[i]))
		}
	}
	if end != c.end {
		t.Errorf("the close frame that comes back has status %d, want %d", end, c.end)
	}
	checkPongs(t, pongs, c.pings)
	own.Close()
	if err := await.From(t, "the echo", ended); (err == nil) != (c.end == normal) {
		t.Errorf("the echo ends with %v", err)
	}
	p.conn.Close()
	await.From(t, "the peer", sent)
}

// hear returns what comes back, up to a close frame.
func hear(p *peer) (messages, pongs []string, end int, err error) {
	for {
		op, payload, err := p.next()
		switch {
		case err != nil:
			return messages, pongs, cutOff, err
		case op == binary2:
			messages = append(messages, string(payload))
		case op == pong:
			pongs = append(pongs, string(payload))
		case op == closing && len(payload) == 0:
			return messages, pongs, 1005, nil
		case op == closing && len(payload) >= 2:
			return messages, pongs, int(binary.BigEndian.Uint16(payload)), nil
		default:
			return messages, pongs, 0, errors.New("a frame with opcode " + strconv.Itoa(int(op)))
		}
	}
}

// checkPongs expects answers to pings, in order, and one to the last.
func checkPongs(t *testing.T, pongs, pings []string) {
	t.Helper()
	if len(pings) > 0 && (len(pongs) == 0 || pongs[len(pongs)-1] != pings[len(pings)-1]) {
		t.Errorf("pongs %q, of which the last one does not answer the last of %q", pongs, pings)
	}
	rest := pings
	for _, p := range slices.Backward(pongs) {
		for len(rest) > 0 && rest[len(rest)-1] != p {
			rest = rest[:len(rest)-1]
		}
		if len(rest) == 0 {
			t.Errorf("pongs %q, of which %q answers nothing in the order of %q", pongs, p, pings)
			return
		}
		rest = rest[:len(rest)-1]
	}
}
