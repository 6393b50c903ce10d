package main

import (
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/backdial/backdial/transport"
)

// dial opens a connection to the device's SSH server.
func dial(d *transport.Dialer, key ssh.Signer, host ssh.PublicKey) (*ssh.Client, error) {
	conn, err := d.Dial()
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	// The host's name does not matter, because its key is known.
	c, channels, requests, err := ssh.NewClientConn(conn, "device", &ssh.ClientConfig{
		User:            "backend",
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: ssh.FixedHostKey(host),
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return ssh.NewClient(c, channels, requests), nil
}

// execute returns the output of command on the device.
func execute(client *ssh.Client, command string) ([]byte, error) {
	session, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	defer session.Close()
	return session.CombinedOutput(command)
}
