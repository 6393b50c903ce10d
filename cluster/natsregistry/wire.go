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

	// maxMessage limits a message, in bytes. The longest ID takes 1368 of them.
	maxMessage = 4096

	// maxNode limits the description of a node, in bytes, so that a claim fits.
	maxNode = 2048

	// maxRun limits the Run of a node, in bytes: it is in a line with two IDs of clients, and
	// servers allow 4096 bytes by default.
	maxRun = 128

	// pinSize is the size of a SHA-256.
	pinSize = 32
)

// A message says that a node has a client, or that it does not. It is JSON.
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

// of returns a message of a node, to be completed.
func of(n cluster.Node) message {
	return message{Version: version, Name: n.Name, Run: n.Run, URL: n.URL, Pin: n.Pin}
}

// checkNode returns an error unless a node can be described to others.
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

// claim returns the message that the node has a client.
func (m message) claim(c cluster.Claim) message {
	m.Since, m.Doubtful = c.Since.UnixMicro(), c.Doubtful
	return m
}

// about returns the message with the ID of the client.
func (m message) about(id string) message {
	m.ID = []byte(id)
	return m
}

// none returns the message that the node does not have the client.
func (m message) none() message {
	m.None = true
	return m
}

func (m message) encode() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // all its values can be marshalled
	}
	return b
}

// decode decodes a message, which anyone may have sent. It leaves out what it does not know.
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

// of returns the claim in the message, to a client.
func (m message) of(id string) cluster.Claim {
	return cluster.Claim{ID: id, Node: m.node(), Since: time.UnixMicro(m.Since), Doubtful: m.Doubtful}
}
