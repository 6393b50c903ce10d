package natsregistry

import (
	"crypto/rand"
	"encoding/base64"
	"regexp"
	"strings"

	"github.com/backdial/backdial/fleet"
)

// Messages to the inbox of a registry, by what follows its name: locate.<number>, and with the Run of
// a member and the ID of a client, attach.<run>.<id> and back.<run>.<id>.
const (
	tokenLocate = "locate"
	tokenAttach = "attach"
	tokenBack   = "back"
)

// subjects are the subjects of a namespace. All except inboxes end with a token for what they
// are about.
type subjects struct {
	user     string // of this registry
	locate   string // questions to the holders of a client
	attached string // messages to the watchers of a client
	node     string // messages to a node about rivals
	inbox    string // answers to users
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

// newInbox returns a subject below which the user gets answers. Nobody else can guess it.
func (s subjects) newInbox() string { return s.inbox + s.user + "." + rand.Text() }

// validReply matches what follows inbox in a subject for replies to a registry: its user, what
// newInbox has chosen, and what take reads.
var validReply = regexp.MustCompile(
	`^[A-Za-z0-9_-]{1,64}\.[A-Z2-7]{26}\.(` + tokenLocate + `\.[0-9a-z]+|(` + tokenAttach + `|` + tokenBack + `)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)$`)

// takesReply reports whether a holder may reply to this subject. The holder has permissions
// that the asker may lack, and does not lend them: it answers only in inboxes. The asker may
// name the inbox of another user, but cannot know its name.
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

// clientOf returns the ID of the client in a token.
func clientOf(token string) (id string, ok bool) {
	id, ok = text(token)
	return id, ok && fleet.CheckID(id) == nil
}
