package peers

import (
	"crypto/ed25519"
	"errors"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/backdial/backdial/bench/harness"
)

var hostKey = func() ssh.Signer {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		panic(err)
	}
	return signer
}()

// sshChannels is SSH. The server opens a channel for each stream, as for ssh -R. Clients
// do not authenticate themselves, like those of other subjects.
func sshChannels(server, client net.Conn) (*harness.Session, error) {
	const kind = "stream"
	type dialer struct {
		conn ssh.Conn
		err  error
	}
	handshake := make(chan dialer, 1)
	go func() {
		config := &ssh.ServerConfig{NoClientAuth: true}
		config.AddHostKey(hostKey)
		conn, channels, requests, err := ssh.NewServerConn(server, config)
		if err == nil {
			go ssh.DiscardRequests(requests)
			go refuse(channels)
		}
		handshake <- dialer{conn, err}
	}()
	listen, channels, requests, err := ssh.NewClientConn(client, "", &ssh.ClientConfig{
		HostKeyCallback: ssh.FixedHostKey(hostKey.PublicKey()),
	})
	if err != nil {
		return nil, err
	}
	go ssh.DiscardRequests(requests)
	dial := <-handshake
	if dial.err != nil {
		return nil, dial.err
	}
	return &harness.Session{
		Dial: func() (net.Conn, error) {
			c, requests, err := dial.conn.OpenChannel(kind, nil)
			if err != nil {
				return nil, err
			}
			go ssh.DiscardRequests(requests)
			return channelConn{c, dial.conn}, nil
		},
		Accept: func() (net.Conn, error) {
			offered, ok := <-channels
			if !ok {
				return nil, net.ErrClosed
			}
			c, requests, err := offered.Accept()
			if err != nil {
				return nil, err
			}
			go ssh.DiscardRequests(requests)
			return channelConn{c, listen}, nil
		},
		Close: func() { dial.conn.Close(); listen.Close() },
	}, nil
}

// refuse refuses what a client opens.
func refuse(channels <-chan ssh.NewChannel) {
	for c := range channels {
		c.Reject(ssh.Prohibited, "only the server opens streams")
	}
}

// A channelConn is a channel as a connection, without deadlines.
type channelConn struct {
	ssh.Channel
	ssh.ConnMetadata
}

func (channelConn) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (channelConn) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (channelConn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }
