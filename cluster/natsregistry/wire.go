package natsregistry

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/backdial/backdial/cluster"
)

const (
	// version of the messages. Fields may be added to it.
	version = 1

	// maxMessage bounds a message, in bytes. The longest ID takes 1368 of them.
	maxMessage = 4096

	// maxNode bounds what is said of a node, in bytes, so that a claim fits.
	maxNode = 2048

	// maxRun bounds the Run of a node, in bytes: it is in a line with two IDs of clients,
	// of which servers allow 4096 bytes by default.
	maxRun = 128

	// pinSize is that of a SHA-256.
	pinSize = 32
)

// A message says that a node has a client, or that it has not. It is JSON.
type message struct {
	Version  int    `json:"v"`
	ID       []byte `json:"id,omitempty"` // only where the subject does not say it
	Name     string `json:"name,omitempty"`
	Run      string `json:"run"`
	URL      string `json:"url,omitempty"`
	Pin      []byte `json:"pin,omitempty"`
	Since    int64  `json:"since,omitempty"` // microseconds since 1970, UTC
	Doubtful bool   `json:"doubtful,omitempty"`
	None     bool   `json:"none,omitempty"` // the node does not have the client
}

// of returns what a node says, of which the rest is to be filled in.
func of(n cluster.Node) message {
	return message{Version: version, Name: n.Name, Run: n.Run, URL: n.URL, Pin: n.Pin}
}

// checkNode returns an error unless others can be told of a node.
func checkNode(n cluster.Node) error {
	switch {
	case n.Run == "" || len(n.Run) > maxRun:
		return fmt.Errorf("node %q: a Run of %d bytes, want 1 to %d", n.Name, len(n.Run), maxRun)
	case len(n.Pin) != 0 && len(n.Pin) != pinSize:
		return fmt.Errorf("a Pin of %d bytes, want %d or none", len(n.Pin), pinSize)
	case !utf8.ValidString(n.Name) || !utf8.ValidString(n.Run) || !utf8.ValidString(n.URL):
		return fmt.Errorf("node %q: its name, Run or URL is not UTF-8", n.Name)
	}
	if size := len(of(n).encode()); size > maxNode {
		return fmt.Errorf("node %q: its description takes %d bytes, want at most %d", n.Name, size, maxNode)
	}
	return nil
}

// claim has the message say that the node has a client.
func (m message) claim(c cluster.Claim) message {
	m.Since, m.Doubtful = c.Since.UnixMicro(), c.Doubtful
	return m
}

// about has the message say of which client.
func (m message) about(id string) message {
	m.ID = []byte(id)
	return m
}

// none has the message say that the node does not have the client.
func (m message) none() message {
	m.None = true
	return m
}

func (m message) encode() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // it has no values that could not be marshalled
	}
	return b
}

// decode reads a message, which may come from anybody. What it does not know is left out.
func decode(data []byte) (message, error) {
	var m message
	if len(data) > maxMessage {
		return m, fmt.Errorf("a message of %d bytes, want %d at most", len(data), maxMessage)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, err
	}
	if m.Version != version {
		return m, fmt.Errorf("a message of version %d, want %d", m.Version, version)
	}
	return m, checkNode(m.node())
}

func (m message) node() cluster.Node {
	return cluster.Node{Name: m.Name, Run: m.Run, URL: m.URL, Pin: m.Pin}
}

// of returns what the message claims of a client.
func (m message) of(id string) cluster.Claim {
	return cluster.Claim{ID: id, Node: m.node(), Since: time.UnixMicro(m.Since), Doubtful: m.Doubtful}
}
