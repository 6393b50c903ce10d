package natsregistry

import (
	"encoding/base64"
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

// subjects are those of a namespace. All end with a token that says whom it is about.
type subjects struct {
	all      string // what all begin with
	locate   string // holders of a client are asked
	attached string // watchers of a client are told
	node     string // a node is told of rivals
}

func newSubjects(namespace string) subjects {
	all := namespace + "."
	return subjects{all: all, locate: all + "locate.", attached: all + "attached.", node: all + "node."}
}

// takesReply reports whether a reply may be sent to where someone wants it. A holder has
// permissions that who asks it need not have, and does not lend them.
func (s subjects) takesReply(to string) bool {
	return to != "" && !strings.HasPrefix(to, s.all) && !strings.HasPrefix(to, "$")
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
