package natsregistry

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/cluster"
)

// A strict holder has one client, and fails if it is told of what it must not be.
type strict struct {
	t    *testing.T
	node cluster.Node
}

func (h strict) Claim(id string) (cluster.Claim, bool) {
	h.check(id)
	return cluster.Claim{ID: id, Node: h.node}, true
}

func (h strict) Rival(c cluster.Claim) {
	h.check(c.ID)
	if c.Node.Run == h.node.Run || checkNode(c.Node) != nil {
		h.t.Errorf("told of %+v", c)
	}
}

func (h strict) check(id string) {
	if id != "client" {
		h.t.Errorf("the holder is asked for %q", id)
	}
}

// In FuzzHostile a registry, and a member of it, get messages from anybody. They have no
// connection to answer by.
func FuzzHostile(f *testing.F) {
	self, other := cluster.Node{Name: "a", Run: "run-a", URL: "wss://a"}, cluster.Node{Name: "b", Run: "run-b", Pin: make([]byte, pinSize)}
	claim := cluster.Claim{ID: "client", Since: time.UnixMicro(1), Doubtful: true}
	says := of(other).claim(claim)
	for _, subject := range []string{
		"inbox.locate.1", "inbox.locate.2", "inbox.locate", "inbox." + tokenAttach + "." + token("run-a") + "." + token("client"),
		"inbox." + tokenBack + "." + token("run-a") + "." + token("client"), "ns.locate." + token("client"), "ns.locate.*",
		"ns.node." + token("run-a"), "",
	} {
		f.Add(subject, "ns.inbox.web.ABCDEFGHIJKLMNOPQRSTUVWXYZ.locate.1", "", says.encode())
		f.Add(subject, "", noResponders, []byte{})
		f.Add(subject, "ns.node.x", "", says.about("client").encode())
		f.Add(subject, "$SYS.x", "", says.none().encode())
		f.Add(subject, "x", "", of(self).about("client").encode())
		f.Add(subject, "x", "", []byte(`{"v":1,"run":"x","more":{}}`))
	}
	f.Fuzz(func(t *testing.T, subject, reply, status string, data []byte) {
		q := &query{"client", make(chan answer, 1)}
		r := &Registry{subjects: newSubjects("ns", "replica"), inbox: "inbox", ctx: context.Background(), queries: map[uint64]*query{1: q}}
		m := &member{
			r: r, node: self, holder: strict{t, self},
			attached: map[string]struct{}{"client": {}},
		}
		r.members = map[string]*member{self.Run: m}
		msg := &nats.Msg{Subject: subject, Reply: reply, Header: nats.Header{statusHeader: {status}}, Data: data}
		r.take(msg)
		m.take(msg)
		m.warn(msg)
		select {
		case a := <-q.answers:
			if !a.nobody && (a.claim.ID != "client" || checkNode(a.claim.Node) != nil) {
				t.Errorf("answer %+v", a)
			}
		default:
		}
	})
}

// FuzzMessage expects a message to be read as it was written.
func FuzzMessage(f *testing.F) {
	f.Add(of(cluster.Node{Run: "x"}).claim(cluster.Claim{Since: time.Now()}).about("\x00\xff").encode())
	f.Add([]byte(`{"v":2,"run":"x"}`))
	f.Add([]byte(`{"v":1,"run":""}`))
	f.Add([]byte(`{"v":1,"run":"x","pin":"AA=="}`))
	f.Add([]byte(`{"v":1,"run":"x","since":9223372036854775807,"doubtful":true,"none":true}`))
	f.Add([]byte(strings.Repeat("[", maxMessage)))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decode(data)
		if err != nil {
			return
		}
		again, err := decode(m.encode())
		if err != nil {
			t.Skip(err) // what is escaped is longer
		}
		again.ID, again.Pin = append([]byte{}, again.ID...), append([]byte{}, again.Pin...)
		m.ID, m.Pin = append([]byte{}, m.ID...), append([]byte{}, m.Pin...)
		if !reflect.DeepEqual(m, again) {
			t.Errorf("%+v is read as %+v", m, again)
		}
	})
}
