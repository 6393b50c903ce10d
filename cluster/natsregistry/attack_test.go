package natsregistry_test

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/backdial/backdial/backdialtest"
)

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// In TestForbidden the service that may only dial tries everything that the engine has to
// refuse.
func TestForbidden(t *testing.T) {
	for name, open := range sites {
		t.Run(name, func(t *testing.T) {
			backdialtest.CheckLeaks(t)
			s := open(t)
			nc := s.connect(t, s.web)
			subscribe := func(subject string) error { _, err := nc.SubscribeSync(subject); return err }
			share := func(subject string) error { _, err := nc.QueueSubscribeSync(subject, "queue"); return err }
			publish := func(subject string) error { return nc.Publish(subject, []byte("forged")) }
			for _, test := range []struct {
				name     string
				do       func(subject string) error
				subjects []string
			}{
				{"claim clients", subscribe, []string{"backdial.locate." + encoded("client0"), "backdial.locate.*", "backdial.locate.>"}},
				{"share claims", share, []string{"backdial.locate.*", "backdial.locate.>", "backdial.node.*"}},
				{"hear what replicas are told", subscribe, []string{"backdial.node.*", "backdial.node." + encoded("run")}},
				{"hear all", subscribe, []string{">", "*.>", "*.*.>", "backdial.>", "backdial.*.*", "backdial.*.>", "backdial.*.*.*"}},
				{"read answers to others", subscribe, []string{"backdial.inbox.replica.>", "backdial.inbox.*.>", "backdial.inbox.>", "backdial.inbox.other.x", "_INBOX.>"}},
				{"read of the engine", subscribe, []string{"$SYS.>", "$JS.>", "$JS.API.>", "$KV.>"}},
				{"answer", publish, []string{"backdial.inbox.replica.x.locate.1", "backdial.inbox.other.x", "backdial.inbox.web.x", "_INBOX.x"}},
				{"announce a client", publish, []string{"backdial.attached." + encoded("client0")}},
				{"make a replica doubt", publish, []string{"backdial.node." + encoded("run")}},
				{"ask the engine", publish, []string{"$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.INFO", "$JS.API.INFO", "$JS.API.STREAM.CREATE.all", "$KV.x"}},
				{"talk to others", publish, []string{"orders", "backdial", "backdial.locate", "backdial.locate.x.y"}},
			} {
				for _, subject := range test.subjects {
					err := test.do(subject)
					if err == nil {
						err = nc.Flush()
					}
					if err != nil {
						t.Fatalf("%s: %s: %v", test.name, subject, err)
					}
					if err := nc.LastError(); !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), `"`+subject+`"`) {
						t.Errorf("%s: %s: error %v, want nats.ErrPermissionViolation", test.name, subject, err)
					}
				}
			}
		})
	}
}

// In TestForeignReply the service asks replicas, and the engine, to send what it may not send
// itself. The observer sees everything that is sent.
func TestForeignReply(t *testing.T) {
	for name, open := range sites {
		t.Run(name, func(t *testing.T) {
			backdialtest.CheckLeaks(t)
			s := open(t)
			first, second := s.asReplica(t), s.asReplica(t)
			a, b := join(t, first), join(t, second)
			announced := s.observe(t)
			a.attach("client", 1)
			b.attach("other", 1)
			backdialtest.Until(t, "announcements", func() bool {
				return slices.Contains(announced(), "backdial.attached."+encoded("client0")) && slices.Contains(announced(), "backdial.attached."+encoded("other0"))
			})
			found(t, second, "client0", a)
			found(t, first, "other0", b)
			seen := s.observe(t)
			watched, err := second.Watch(t.Context(), "watched")
			if err != nil {
				t.Fatal(err)
			}
			nc := s.connect(t, s.web)
			inbox := "backdial.inbox.web." + rand.Text()
			question, own := "backdial.locate."+encoded("client0"), inbox+".locate.1"
			answered, err := nc.SubscribeSync(own)
			if err != nil {
				t.Fatal(err)
			}
			foreign := []string{
				"orders", "_INBOX.x", "_INBOX.replica.x", "_INBOX.web.x", "*", ">",
				"$SYS.REQ.SERVER.PING", "$SYS.ACCOUNT.x", "$JS.API.STREAM.DELETE.x", "$JS.ACK.x", "$KV.x.y", "$G.x",
				"backdial.inbox.replica.x", "backdial.inbox.other.x", "backdial.inbox.webx.y", "backdial.inbox.web",
				"backdial.inbox.web.", "backdial.inbox.web..x", "backdial.inbox.web.x.", "backdial.inbox.web.*",
				"backdial.inbox.web.>", "backdial.inbox.*.x", "backdial.inbox.>", "backdial.inbox.web.\x00",
				inbox, inbox + ".*", inbox + ".>", inbox + ".locate.*", inbox + ".locate.", inbox + ".locate.1.x",
				"backdial.inbox.*" + strings.TrimPrefix(own, "backdial.inbox.web"), "other" + strings.TrimPrefix(own, "backdial"),
				inbox + ".attach.*.x", inbox + ".attach.x.>", inbox + ".back.x", "backdial.inbox.web.*.locate.1",
				"backdial.node." + encoded(a.node.Run), "backdial.node." + encoded(b.node.Run), "backdial.node.*",
				"backdial.attached." + encoded("watched"), "backdial.locate." + encoded("target"), "other.inbox.web.x",
			}
			for _, to := range foreign {
				if err := nc.PublishRequest(question, to, nil); err != nil {
					t.Fatalf("reply to %q: %v", to, err)
				}
				if strings.HasPrefix(to, "backdial.locate.") {
					continue // where it may publish, the engine traces what it sends
				}
				if err := nc.PublishMsg(&nats.Msg{Subject: question, Reply: to, Header: nats.Header{"Nats-Trace-Dest": {to}}}); err != nil {
					t.Fatalf("trace to %q: %v", to, err)
				}
			}
			if err := nc.PublishRequest(question, own, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := answered.NextMsg(patience); err != nil {
				t.Fatalf("no answer to the service's inbox: %v", err)
			}
			backdialtest.Until(t, "the observer seeing that", func() bool { return slices.Contains(seen(), own) })
			select {
			case c := <-a.rivals:
				t.Errorf("a holder is told of %+v", c)
			case c := <-b.rivals:
				t.Errorf("another holder is told of %+v", c)
			case c := <-watched:
				t.Errorf("a watcher is told of %+v", c)
			case <-time.After(quiet):
			}
			expected := []string{question, own, "backdial.inbox.replica."}
			for _, id := range []string{"client0", "other0", "watched"} {
				expected = append(expected, "backdial.locate."+encoded(id))
			}
			for _, subject := range seen() {
				if slices.Contains(foreign, subject) || !slices.ContainsFunc(expected, func(e string) bool { return strings.HasPrefix(subject, e) }) {
					t.Errorf("something is sent to %q", subject)
				}
			}
		})
	}
}

// observe returns to which subjects messages were sent since then.
func (s site) observe(t *testing.T) (seen func() []string) {
	t.Helper()
	var mu sync.Mutex
	var subjects []string
	nc := s.connect(t, s.observer)
	_, err := nc.Subscribe(">", func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		subjects = append(subjects, m.Subject)
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(subjects)
	}
}

// In TestFlood the service asks for a client as fast as it can. Others still find the client,
// and a replica hears what other replicas announce.
func TestFlood(t *testing.T) {
	backdialtest.CheckLeaks(t)
	s := documented(t)
	first, second, web := s.asReplica(t), s.asReplica(t), s.asWeb(t)
	a := join(t, first)
	a.attach("client", 1)
	found(t, second, "client0", a)
	other := s.connect(t, s.replica)
	nc := s.connect(t, s.web)
	inbox := "backdial.inbox.web." + rand.Text() + ".locate."
	done := make(chan struct{})
	var flooding sync.WaitGroup
	flooding.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			if nc.PublishRequest("backdial.locate."+encoded("client0"), fmt.Sprint(inbox, i), nil) != nil {
				return
			}
		}
	})
	defer flooding.Wait()
	defer close(done)
	before := a.asked.Load()
	backdialtest.Until(t, "a flood", func() bool { return a.asked.Load()-before > 1000 })
	found(t, web, "client0", a)
	found(t, second, "client0", a)
	warning := fmt.Appendf(nil, `{"v":1,"id":%q,"run":"other"}`, base64.StdEncoding.EncodeToString([]byte("client0")))
	for range 10 {
		if err := other.Publish("backdial.node."+encoded(a.node.Run), warning); err != nil {
			t.Fatal(err)
		}
		receive(t, "what another replica has said", a.rivals)
	}
	if !first.Connected() || !second.Connected() {
		t.Error("the flood has cut off a replica")
	}
}

// In TestLargeQuestion the service fills the memory of a replica with questions.
func TestLargeQuestion(t *testing.T) {
	for name, open := range sites {
		t.Run(name, func(t *testing.T) {
			backdialtest.CheckLeaks(t)
			s := open(t)
			nc := s.connect(t, s.web)
			if err := nc.Publish("backdial.locate."+encoded("client0"), make([]byte, 8<<10+1)); !errors.Is(err, nats.ErrMaxPayload) {
				t.Errorf("error %v, want nats.ErrMaxPayload", err)
			}
		})
	}
}
