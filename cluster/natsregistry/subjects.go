package natsregistry

import (
	"crypto/rand"
	"encoding/base64"
	"regexp"
	"strings"

	"github.com/backdial/backdial/cluster"
)

// What comes to the inbox of a registry, by what follows its name: locate.<number>, and
// with the Run of a member and the ID of a client attach.<run>.<id> and back.<run>.<id>.
const (
	tokenLocate = "locate"
	tokenAttach = "attach"
	tokenBack   = "back"
)

// subjects are those of a namespace. All but inboxes end with a token that says whom it is
// about.
type subjects struct {
	user     string // of this registry
	locate   string // holders of a client are asked
	attached string // watchers of a client are told
	node     string // a node is told of rivals
	inbox    string // users are answered
}

func newSubjects(namespace, user string) subjects {
	return subjects{
		user:     user,
		locate:   namespace + ".locate.",
		attached: namespace + ".attached.",
		node:     namespace + ".node.",
		inbox:    namespace + ".inbox.",
	}
}

// newInbox returns a subject below which the user is answered. Nobody else can guess it.
func (s subjects) newInbox() string { return s.inbox + s.user + "." + rand.Text() }

// validReply is what follows inbox in a subject that a registry wants to be answered at: its
// user, what newInbox has chosen, and what take reads.
var validReply = regexp.MustCompile(
	`^[A-Za-z0-9_-]{1,64}\.[A-Z2-7]{26}\.(` + tokenLocate + `\.[0-9a-z]+|(` + tokenAttach + `|` + tokenBack + `)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$`)

// takesReply reports whether a reply may be sent to where someone wants it. A holder has
// permissions that who asks it need not have, and does not lend them: it answers in inboxes
// only. Who asks may name that of another user, and does not know what it is called.
func (s subjects) takesReply(to string) bool {
	rest, ok := strings.CutPrefix(to, s.inbox)
	return ok && validReply.MatchString(rest)
}

// token returns text, of any bytes, as a token of a subject.
func token(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// text undoes token.
func text(token string) (string, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	return string(b), err == nil
}

// clientOf returns the ID of the client that a token is about.
func clientOf(token string) (id string, ok bool) {
	id, ok = text(token)
	return id, ok && cluster.CheckID(id) == nil
}
